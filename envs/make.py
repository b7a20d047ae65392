"""Write envs/headstart.yaml: the direct dependencies of pyproject.toml at the lock's versions."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def locked(lock: str) -> dict[str, str]:
    """Version of every package in a lock file, by normalised name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", lock, re.MULTILINE)
    return {normalised(name): version for name, version in found}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def environment(project: str, lock: str) -> str:
    """The conda environment file, for the text of pyproject.toml and of the lock."""
    versions = locked(lock)
    requirements = tomllib.loads(project)["project"]["dependencies"]
    names = [re.split(r"[<>=~! ]", requirement)[0] for requirement in requirements]
    pins = [f"      - {name}=={versions[normalised(name)]}" for name in names]
    head = [
        "# Made by envs/make.py from pyproject.toml and requirements.lock.",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*head, *pins]) + "\n"


if __name__ == "__main__":
    text = environment(
        (ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text()
    )
    (ROOT / "envs" / "headstart.yaml").write_text(text)
