"""A comparison of what there is, where jobs of a study have failed under --keep-going.

The Snakemake that saw them fail knows which files they leave unmade. A second one, which takes
these for given, makes the comparison and the report of the rest, and trains nothing.
"""

import json
import os
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart import logs

_VARIABLE = "HEADSTART_UNMADE"
#: What the second Snakemake may run.
_RULES = ("evidence", "compare", "compare_further", "report")
_TARGETS = ("report.html", "comparison/verdict.json")


def unmade(dag: Any, failed: Iterable[Any]) -> dict[str, str]:
    """The files that failed jobs and those behind them leave unmade, each with the reason.

    Args:
        dag: Snakemake's, after its run.
        failed: the jobs of it that failed.

    Returns:
        Nothing where other jobs are open too, as in a run that was interrupted.
    """
    reasons = {job: _reason(first) for first in failed for job in dag.bfs(dag.depending, first)}
    if any(job not in reasons for job in dag.needrun_jobs()):
        return {}
    return {str(file): reason for job, reason in reasons.items() for file in job.output}


def _reason(job: Any) -> str:
    said = next((said for log in job.log if (said := logs.last_words(Path(log)))), "")
    return said or f"{job.rule.name} ended without a word; its process was killed"


def compare(
    files: Mapping[str, str], results: Path, snakefile: str, config: Mapping[str, Any], cores: int
) -> bool:
    """Make the comparison and the report, as far as they were asked for, without these files.

    Args:
        files: from `unmade`.
        results: the experiment's folder.
        snakefile: the workflow's.
        config: the whole content of the experiment file.

    Returns:
        Whether it is there.
    """
    targets = [target for name in _TARGETS if (target := f"{results}/{name}") in files]
    if not targets:
        return False
    with tempfile.TemporaryDirectory() as folder:
        unmade_file, config_file = Path(folder, "unmade.json"), Path(folder, "config.json")
        unmade_file.write_text(json.dumps(files))
        config_file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "snakemake", targets[0], "--snakefile", snakefile]
        command += ["--cores", str(cores), "--configfile", str(config_file)]
        command += ["--allowed-rules", *_RULES, "--nolock", "--no-hooks", "--quiet", "all"]
        done = subprocess.run(  # nosec B603
            command, env=os.environ | {_VARIABLE: str(unmade_file)}, check=False
        )
    return done.returncode == 0


def read() -> dict[str, str]:
    """What `unmade` told the Snakemake that started this one; nothing in an ordinary run."""
    file = os.environ.get(_VARIABLE)
    return json.loads(Path(file).read_text()) if file else {}


def missing(runs: Sequence[str], files: Mapping[str, str]) -> list[dict[str, Any]]:
    """The runs whose metrics are among unmade files, and why, ready for verdict.json.

    Args:
        runs: their folders, .../<strategy>/fraction-<f>/split-<k>/seed-<s>.
    """
    found = []
    for run in runs:
        if reason := files.get(f"{run}/metrics.json"):
            strategy, *place = Path(run).parts[-4:]
            reason = reason.removeprefix(f"{'/'.join([strategy, *place])}: ")
            fraction, split, seed = (part.partition("-")[2] for part in place)
            found.append(
                {
                    "strategy": strategy,
                    "fraction": float(fraction),
                    "split": int(split),
                    "seed": int(seed),
                    "reason": reason,
                }
            )
    return found
