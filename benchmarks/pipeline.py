"""The pipeline's own cost: the share of a run's wall time in which no rule was computing.

Snakemake's benchmark files say how many seconds each job took, and are written when it ends, so
they give the interval in which it ran. A second in which k jobs ran at once counts 1/k for each of
them; the sum over all jobs is then the time in which at least one ran:

    cost = (wall - sum over jobs of the integral of dt / k(t)) / wall

The start-up of each job's script belongs to its rule; reading the workflow, planning, what lies
between two jobs and the exit belong to the pipeline. The experiment is a small one, two strategies,
one seed, real weights and 80 photographs, in a folder of its own: the shorter the rules, the larger
the share.
"""

import csv
import shutil
import time
from itertools import count
from pathlib import Path

from material import photographs, run_workflow
from table import Row, spread

BAR = 0.15
_PHASE = {"train": "all", "epochs": 2, "lr": 0.001, "schedule": "one_cycle"}
_EXPERIMENT = {
    "experiment": "small",
    "dataset": {"source": "folder", "path": "images", "split": {"test": 0.3, "val": 0.2}},
    "image": {"size": 64, "crop_pct": 1.0},
    "augmentation": [{"name": "horizontal_flip"}],
    "training": {"batch_size": 16},
    "strategies": {
        "head_only": {
            "init": "pretrained",
            "phases": [{"train": "head", "epochs": 10, "lr": 0.01}],
        },
        "full": {"init": "pretrained", "phases": [_PHASE]},
    },
    "seeds": [0],
    "report": {"title": "Cells"},
}


def rows(folder: Path, quick: bool) -> list[Row]:
    repeats = 1 if quick else 5
    pictures = photographs(folder, 80)
    numbers = count()
    measured = [run(folder / f"project-{next(numbers)}", pictures.files) for _ in range(repeats)]
    shares = [cost(wall, intervals) for wall, intervals in measured]
    walls = [wall for wall, _ in measured]
    middle = sorted(shares)[len(shares) // 2]
    name = "the pipeline's own share of a run"
    return [Row(name, middle, BAR, spread(shares, ""), f"{spread(walls, 's')} wall", at_most=True)]


def run(project: Path, images: Path) -> tuple[float, list[tuple[float, float]]]:
    """Run the experiment in a new folder: wall seconds, and begin and end of each job."""
    shutil.copytree(images, project / "images")
    started = time.perf_counter()
    run_workflow(project, _EXPERIMENT)
    wall = time.perf_counter() - started
    return wall, job_intervals(project / "results/small/benchmarks")


def job_intervals(folder: Path) -> list[tuple[float, float]]:
    """Begin and end of the jobs whose benchmark files are in `folder`, seconds since the epoch."""
    intervals = []
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(newline="") as file:
            seconds = float(next(csv.DictReader(file, delimiter="\t"))["s"])
        end = path.stat().st_mtime
        intervals.append((end - seconds, end))
    return intervals


def cost(wall: float, intervals: list[tuple[float, float]]) -> float:
    """Share of `wall` seconds in which none of the (begin, end) intervals was running."""
    busy, until = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return (wall - busy) / wall
