"""A study that is killed again and again ends with the accuracies of one that was left alone.

HEADSTART_KILLS=20 kills as often, in a study of as many more seeds.
"""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from small_project import CONFIG, GPUS, LIMIT, check_out, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow"), pytest.mark.faults]

KILLS = int(os.environ.get("HEADSTART_KILLS", "3"))
#: CPU seconds that a victim has worked when it is killed; Snakemake's are its jobs' too.
WORK = {"training": (0.5, 6.0), "snakemake": (3.0, 10.0), "other": (0.5, 4.0)}
#: CPU seconds of all jobs after which any of them is a victim.
ENOUGH = 20.0
RUNS_CSV = Path("results/cells/comparison/runs.csv")
SAME = ["strategy", "fraction", "split", "seed", "accuracy", "macro_f1", "log_loss", "epochs"]
TRAINING = ("train.py", "try.py")


def jobs(main: psutil.Process) -> Iterator[tuple[str, psutil.Process]]:
    """The scripts that run below a Snakemake, by the name of their file."""
    for process in main.children(recursive=True):
        try:
            scripts = [part for part in process.cmdline() if "/.snakemake/scripts/" in part]
        except psutil.Error:
            continue
        if scripts and "python" in process.name():
            yield scripts[0].rpartition("/")[2].partition(".")[2], process


def spent(process: psutil.Process) -> float:
    """CPU seconds of a process and its ended children."""
    return sum(process.cpu_times()[:4])


def victim(kind: str, work: float, main: psutil.Process) -> tuple[str, psutil.Process] | None:
    """What is to be killed now: a job of the kind, or Snakemake itself; nothing yet."""
    running = list(jobs(main))
    total = spent(main) + sum(spent(job) for _, job in running)
    if kind == "snakemake":
        return (kind, main) if total >= work else None
    wanted = [
        (name, job)
        for name, job in running
        if total >= ENOUGH or ((name in TRAINING) == (kind == "training") and spent(job) >= work)
    ]
    return wanted[0] if wanted else None


def killed(project: Path, kind: str, work: float) -> str:
    """Start the study, kill a process after some work, and say which; '' if it ended before."""
    command = [sys.executable, "-m", "snakemake", "--cores", "4", *LIMIT]
    with subprocess.Popen(
        [*command, "--configfile", "experiment.yaml"],
        cwd=project,
        env=os.environ | GPUS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        main = psutil.Process(running.pid)
        while running.poll() is None:
            with contextlib.suppress(psutil.Error):
                if found := victim(kind, work, main):
                    moment = f"{found[0]} after {spent(found[1]):.1f} CPU seconds"
                    found[1].kill()
                    return moment
            time.sleep(0.02)
    return ""


def test_a_study_killed_at_random_moments_ends_the_same(changed: Path, tmp_path: Path) -> None:
    config = CONFIG | {"seeds": list(range(1 + KILLS // 10))}
    killing = tmp_path / "killed"
    killing.mkdir()
    check_out(killing)
    for each in (killing, changed):
        write_config(each, config)
    draws = random.Random(1)
    moments = []
    for kind in itertools.islice(itertools.cycle(WORK), KILLS):
        moments.append(killed(killing, kind, draws.uniform(*WORK[kind])))
        assert snakemake(killing, "--unlock").returncode == 0
    print(*moments, sep="\n")
    for each in (killing, changed):
        done = snakemake(each, *LIMIT, **GPUS)
        assert done.returncode == 0, done.stderr
    assert all(moments), "the study ended before it was killed so often"
    ends = [pd.read_csv(each / RUNS_CSV)[SAME] for each in (killing, changed)]
    pd.testing.assert_frame_equal(*ends, check_exact=True)
