"""Look for known vulnerabilities of the locked packages, where an index can tell of any."""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent.parent / "requirements.lock"


def audit(lock: Path) -> tuple[int, str]:
    """The status to end with and a line to say; what cannot be audited is said and passes."""
    command = ["pip_audit", "--disable-pip", "--progress-spinner=off", "--format=json"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--requirement", str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1][:80]
        return 0, f"no package was audited, as no index can be asked ({reason})"
    known = [package for package in packages if "vulns" in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in known
        for vulnerability in package["vulns"]
    ]
    told = f"{len(known)} of {len(packages)} packages are known to the index"
    if not known:
        told += ", which has no vulnerability service: none was audited"
    return bool(found), "; ".join([told, *found])


if __name__ == "__main__":
    status, line = audit(LOCK)
    print(f"pip-audit: {line}")
    sys.exit(status)
