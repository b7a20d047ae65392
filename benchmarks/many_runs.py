"""Many tiny runs on one machine: is one lost, and what does each cost beside its training?

A study of a head alone, with real weights and 80 photographs of 32 px, on as many seeds as asked
for. Each run is two jobs, a training and its test, of which the training itself takes a fraction of
a second. All are counted in runs.csv, in MLflow and by the seed in their own files.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
from material import photographs, run_workflow

from headstart.tracking import connection

_SHOWN = ("train", "evaluate", "compare", "report")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        shutil.copytree(photographs(Path(folder), 80).files, project / "images")
        started = time.perf_counter()
        run_workflow(project, experiment(runs))
        wall = time.perf_counter() - started
        found = counted(project / "results/many")
        for line in cost(project / "results/many/benchmarks", wall, runs):
            print(line)
    print(*(f"{place}: {count} of {runs} runs" for place, count in found.items()), sep="\n")
    return int(set(found.values()) != {runs})


def experiment(runs: int) -> dict[str, Any]:
    head = {"init": "pretrained", "phases": [{"train": "head", "epochs": 3, "lr": 0.01}]}
    return {
        "experiment": "many",
        "dataset": {"source": "folder", "path": "images", "split": {"test": 0.3, "val": 0.2}},
        "image": {"size": 32, "crop_pct": 1.0},
        "augmentation": [],
        "strategies": {"head": head},
        "seeds": list(range(runs)),
    }


def counted(results: Path) -> dict[str, int]:
    """How many runs there are, by each place that has them."""
    with (results / "comparison/runs.csv").open(newline="") as file:
        seeds = {row["seed"] for row in csv.DictReader(file)}
    store = connection.read(results / "tracking.json")
    query = "tags.`headstart.kind` = 'run' and tags.`headstart.superseded` = 'false'"
    client = mlflow.MlflowClient(connection.uri(results.with_name("mlflow")))
    found = client.search_runs(
        [store["experiment_id"]], f"{query} and attributes.status = 'FINISHED'", max_results=50_000
    )
    logged = {run.data.tags["headstart.run"] for run in found}
    files = [json.loads(path.read_text())["seed"] for path in results.rglob("runs/**/run.json")]
    return {"runs.csv": len(seeds), "MLflow": len(logged), "files": len(set(files))}


def cost(benchmarks: Path, wall: float, runs: int) -> Iterator[str]:
    """Wall and CPU seconds a run, and those of the jobs by what they do."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = spent.ru_utime + spent.ru_stime
    yield f"{runs} runs: {wall:.0f} s, {wall / runs:.2f} s a run on {os.cpu_count()} cores"
    yield f"CPU: {cpu:.0f} s, {cpu / runs:.2f} s a run"
    for name in _SHOWN:
        rows = [read(path) for path in benchmarks.rglob(f"{name}*.tsv")]
        rows += [read(path) for path in (benchmarks / name).rglob("*.tsv")]
        means = (sum(float(row[key]) for row in rows) / len(rows) for key in ("s", "cpu_time"))
        yield "{}: {:.2f} s a job, CPU {:.2f} s".format(name, *means)


def read(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return next(csv.DictReader(file, delimiter="\t"))


if __name__ == "__main__":
    sys.exit(main())
