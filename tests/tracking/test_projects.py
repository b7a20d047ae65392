"""Several projects on one store: each has its own runs, whatever their names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
from mlflow.entities import Run

from headstart.tracking import connection, mlflow_pages, projects
from headstart.tracking.runlog import RunLog

#: What a project's jobs do: prepare the store, and log the same runs twice.
JOBS = """
import json, sys
from pathlib import Path
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog
prepared = connection.prepare(Path("results/mlflow"), "cells")
tags = {"strategy": "full", "fraction": "1.0"}
for attempt in range(2):
    for seed in range(2):
        log = RunLog.start(prepared, f"full/seed-{seed}", {"lr": 0.1}, tags)
        log.epochs({"epoch": epoch, "val_loss": 1 / epoch} for epoch in range(1, 20))
        log.end()
print(json.dumps(prepared))
"""


def run_jobs(folders: list[Path], address: str) -> list[dict[str, str]]:
    """What the jobs of projects that run at the same time know of the store."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MLFLOW_TRACKING_URI": address,
    }
    jobs = []
    for folder in folders:
        (folder / "results").mkdir(parents=True, exist_ok=True)
        jobs.append(
            subprocess.Popen(
                [sys.executable, "-c", JOBS],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * len(jobs)
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def runs(address: str) -> list[Run]:
    client = mlflow.MlflowClient(address)
    return list(client.search_runs([client.get_experiment_by_name("cells").experiment_id]))


def is_current(run: Run) -> bool:
    return run.data.tags.get("headstart.superseded") == "false"


def test_clones_on_one_file_supersede_their_own_runs_only(tmp_path):
    """They make the file, too, at the same time. A project's two studies are two experiments."""
    address = f"sqlite:///{tmp_path}/shared/mlflow.db"
    first, second = run_jobs([tmp_path / "first", tmp_path / "second"], address)
    assert first["project"] != second["project"]
    assert first["experiment_id"] == second["experiment_id"]
    assert first["parent_run_id"] != second["parent_run_id"]
    other = connection.prepare(tmp_path / "first/results/mlflow", "others", address)
    assert other["project"] == first["project"]
    RunLog.start(other, "full/seed-0", {}, {}).end()
    for clone in (first, second):
        own = [run for run in runs(address) if run.data.tags[projects.TAG] == clone["project"]]
        assert len(own) == 1 + 4, "a parent, and two attempts of each seed"
        names = sorted(run.info.run_name for run in own if is_current(run))
        assert names == [f"full/seed-{seed}" for seed in range(2)]
    client = mlflow.MlflowClient(address)
    pages = [
        mlflow_pages.addresses(client, "cells", "http://x", clone["project"])["Strategies"]
        for clone in (first, second)
    ]
    assert pages[0] != pages[1]


def test_a_moved_project_stays_itself_and_a_clone_is_another(tmp_path):
    (tmp_path / "old").mkdir()
    project = projects.identity(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert projects.identity(tmp_path / "new") == project
    (tmp_path / "clone").mkdir()
    assert projects.identity(tmp_path / "clone") != project


def test_runs_from_before_go_to_the_project_that_asks_first(tmp_path):
    address = f"sqlite:///{tmp_path}/mlflow.db"
    first, second = (tmp_path / name / "results/mlflow" for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir(parents=True)
    prepared = connection.prepare(first, "cells", address)
    old = RunLog.start(prepared, "full/seed-0", {}, {})
    for run in runs(address):
        old.client.delete_tag(run.info.run_id, projects.TAG)
    assert connection.prepare(first, "cells", address) == prepared
    assert {run.data.tags[projects.TAG] for run in runs(address)} == {prepared["project"]}
    RunLog.start(prepared, "full/seed-0", {}, {})
    other = connection.prepare(second, "cells", address)
    assert other["parent_run_id"] != prepared["parent_run_id"]
    current = [run.info.run_id for run in runs(address) if is_current(run)]
    assert len(current) == 1 and old.run_id not in current
