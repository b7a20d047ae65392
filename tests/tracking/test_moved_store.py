"""The MLflow store after what people do to it: a moved or copied project, and deletions in the UI.

What jobs do runs in processes of their own, as jobs do, from the project's folder.
"""

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from headstart import HeadstartError
from headstart.tracking import connection, database
from headstart.tracking.runlog import RunLog

BEFORE = """
import json
from pathlib import Path
import numpy as np
from headstart.models import backbones
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog
prepared = connection.prepare(Path("results/mlflow"), "cells")
Path("tracking.json").write_text(json.dumps(prepared))
log = RunLog.start(prepared, "full/seed-0", {"lr": 0.1}, {})
Path("before.json").write_text('"before"')
log.files([Path("before.json")])
log.model(backbones.create("test_efficientnet", "timm", 2), np.zeros((2, 3, 32, 32), np.float32))
print(json.dumps(log.run_id))
"""
# A run that goes on, a new run, and what both then hold.
AFTER = """
import json, sys
from pathlib import Path
import mlflow, torch
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog
prepared = connection.read(Path("tracking.json"))
Path("after.json").write_text('"after"')
logs = [RunLog.open(prepared, sys.argv[1])]
logs.append(RunLog.start(prepared, "full/seed-1", {"lr": 0.1}, {}))
found = {}
for name, log in zip(("old", "new"), logs):
    log.files([Path("after.json")])
    for item in log.client.list_artifacts(log.run_id):
        path = log.client.download_artifacts(log.run_id, item.path)
        found[f"{name} {item.path}"] = json.loads(Path(path).read_text())
(model,) = log.client.search_logged_models([prepared["experiment_id"]])
loaded = mlflow.pytorch.load_model(model.model_uri)
found["model"] = list(loaded(torch.zeros(3, 3, 32, 32)).shape)
print(json.dumps(found))
"""
PREPARE = """
import json
from pathlib import Path
from headstart.tracking import connection
print(json.dumps(connection.prepare(Path("results/mlflow"), "cells")))
"""
COLUMNS = [
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
]


def job(project: Path, code: str, *arguments: str) -> object:
    """What a job that runs in the project's folder prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tuple[Path, str]:
    """A project with a space in its path, and the run that it has logged."""
    project = tmp_path_factory.mktemp("my projects") / "first"
    project.mkdir()
    return project, str(job(project, BEFORE))


@pytest.fixture
def project(original, tmp_path) -> tuple[Path, str]:
    """The project where another test may not see it, as it was when it was made there."""
    made, run_id = original
    shutil.copytree(made, tmp_path / "old")
    rewrite(tmp_path / "old", made, tmp_path / "old")
    return tmp_path / "old", run_id


def connect(project: Path) -> sqlite3.Connection:
    return sqlite3.connect(project / "results/mlflow/mlflow.db")


def rewrite(project: Path, old: Path, new: Path) -> None:
    """Let the store of a project say that it was made in the folder `new`."""
    with closing(connect(project)) as connection, connection:
        for table, column in COLUMNS:
            change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            connection.execute(change, (old.as_uri(), new.as_uri()))


def locations(project: Path) -> list[str]:
    """The locations in a store's tables, but for that of MLflow's Default experiment."""
    query = " UNION ".join(f"SELECT {column} FROM {table}" for table, column in COLUMNS)
    with closing(connect(project)) as connection:
        found = sorted(location for (location,) in connection.execute(query))
    return [location for location in found if not location.endswith("/mlruns/0")]


def files(project: Path) -> set[str]:
    return {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}


def assert_all_is_found(found: dict, project: Path) -> None:
    artifacts = project / "results/mlflow/artifacts/cells"
    assert found == {
        "old before.json": "before",
        "old after.json": "after",
        "new after.json": "after",
        "model": [3, 2],
    }
    assert len(list(artifacts.rglob("after.json"))) == 2
    assert all(location.startswith(artifacts.as_uri()) for location in locations(project))


def test_jobs_of_a_moved_project_log_where_it_is(project, tmp_path):
    old, run_id = project
    new = tmp_path / "new"
    shutil.move(old, new)
    assert_all_is_found(job(new, AFTER, run_id), new)
    assert not old.exists()


def test_jobs_of_a_copied_project_leave_the_original_alone(project, tmp_path):
    old, run_id = project
    shutil.copytree(old, tmp_path / "copy")
    before = files(old), locations(old)
    assert_all_is_found(job(tmp_path / "copy", AFTER, run_id), tmp_path / "copy")
    assert (files(old), locations(old)) == before


def test_preparing_in_a_moved_project_finds_its_experiment(project, tmp_path):
    old, _ = project
    known = json.loads((old / "tracking.json").read_text())
    new = tmp_path / "deeper/new"
    shutil.move(old, new)
    assert job(new, PREPARE) == known
    artifacts = (new / "results/mlflow/artifacts/cells").as_uri()
    assert all(location.startswith(artifacts) for location in locations(new))
    assert not old.exists()


def test_a_store_is_followed_once_and_other_locations_stay(project, tmp_path, caplog):
    old, _ = project
    new = tmp_path / "new"
    rewrite(old, old, Path("/a_b%c/gone"))
    others = ["s3://bucket/artifacts/cells", "file:///disk/artifacts/others", "/a_bXc/gone/x"]
    with closing(connect(old)) as connection, connection:
        rows = [(f"other {number}", location) for number, location in enumerate(others)]
        connection.executemany(
            "INSERT INTO experiments (name, artifact_location) VALUES (?, ?)", rows
        )
    shutil.move(old, new)
    address = database.uri(new / "results/mlflow")
    with caplog.at_level(logging.WARNING, "headstart"):
        database.follow(address)
        database.follow(address)
    assert len(caplog.messages) == 1 and str(new) in caplog.text
    rest = [location for location in locations(new) if not location.startswith(new.as_uri())]
    assert rest == sorted(others) and len(locations(new)) == len(others) + 4


def test_a_store_that_is_somewhere_else_is_no_moved_one(tmp_path, monkeypatch):
    """MLFLOW_TRACKING_URI may name one file for many projects, whose artifacts stay with them."""
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    connection.prepare(tmp_path / "results/mlflow", "cells")
    (experiment,) = mlflow.MlflowClient(address).search_experiments(filter_string="name = 'cells'")
    assert connection.prepare(tmp_path / "results/mlflow", "cells")["uri"] == address
    found = mlflow.MlflowClient(address).get_experiment(experiment.experiment_id)
    assert found.artifact_location == (tmp_path / "results/mlflow/artifacts/cells").as_uri()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one"])
def test_a_broken_file_is_made_anew_or_one_line(tmp_path, content):
    path = tmp_path / "mlflow/mlflow.db"
    path.parent.mkdir()
    path.write_bytes(content)
    if not content:  # a job was killed before it made the tables
        start(connection.prepare(path.parent, "cells"))
        return
    lost = {"uri": database.uri(path.parent), "experiment_id": "1", "parent_run_id": "0" * 32}
    attempts = (
        lambda: connection.prepare(path.parent, "cells"),
        lambda: RunLog.open(lost, "0" * 32),
        lambda: start(lost),
    )
    for attempt in attempts:
        with pytest.raises(HeadstartError, match="mlflow.db cannot be used: file is not") as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store") / "mlflow"


@pytest.fixture
def started(folder, request) -> tuple[dict[str, str], RunLog]:
    """An experiment of the test's own, and a run in it."""
    prepared = connection.prepare(folder, request.node.name)
    return prepared, start(prepared)


def start(prepared: dict[str, str], key: str = "full/seed-0") -> RunLog:
    return RunLog.start(prepared, key, {"lr": 0.1}, {})


def is_active(log: RunLog, run_id: str) -> bool:
    return log.client.get_run(run_id).info.lifecycle_stage == "active"


@pytest.fixture
def attached(tmp_path) -> Callable[[RunLog], list[str]]:
    """Attaches a file to a run and lists what is attached."""
    (tmp_path / "run.json").write_text("{}")

    def attach(log: RunLog) -> list[str]:
        log.files([tmp_path / "run.json"])
        return [item.path for item in log.client.list_artifacts(log.run_id)]

    return attach


def test_preparing_restores_a_deleted_experiment(folder, started, attached, caplog, request):
    prepared, log = started
    log.client.delete_experiment(prepared["experiment_id"])
    with caplog.at_level(logging.WARNING, "headstart"):
        assert connection.prepare(folder, request.node.name) == prepared
    assert f"{request.node.name} had been deleted and is restored" in caplog.text
    assert is_active(log, log.run_id) and is_active(log, prepared["parent_run_id"])
    assert attached(start(prepared)) == ["run.json"]


def test_a_new_run_restores_a_deleted_experiment(started, attached):
    prepared, log = started
    log.client.delete_experiment(prepared["experiment_id"])
    again = start(prepared)
    assert attached(again) == ["run.json"]
    older = log.client.get_run(log.run_id).data.tags
    assert older["headstart.superseded_by"] == again.run_id


@pytest.mark.parametrize("whole", [False, True], ids=["run", "experiment"])
def test_opening_a_deleted_run_restores_it(started, attached, caplog, whole):
    prepared, log = started
    if whole:
        log.client.delete_experiment(prepared["experiment_id"])
    else:
        log.client.delete_run(log.run_id)
    with caplog.at_level(logging.WARNING, "headstart"):
        again = RunLog.open(prepared, log.run_id)
    assert "full/seed-0 had been deleted and is restored" in caplog.text
    assert attached(again) == ["run.json"]
    again.epochs([{"epoch": 1, "val_loss": 0.5}])
    again.end()
    run = log.client.get_run(log.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics == {"val_loss": 0.5}


def test_a_deleted_parent_run_is_restored_and_not_made_twice(folder, started, request):
    prepared, log = started
    log.client.delete_run(prepared["parent_run_id"])
    assert connection.prepare(folder, request.node.name) == prepared
    assert is_active(log, prepared["parent_run_id"])


def test_what_was_purged_is_one_line(started):
    """As `mlflow gc` does it."""
    prepared, log = started
    log.client.delete_experiment(prepared["experiment_id"])
    kept = log.client._tracking_client.store
    for run_id in (log.run_id, prepared["parent_run_id"]):
        kept._hard_delete_run(run_id)
    kept._hard_delete_experiment(prepared["experiment_id"])
    for attempt in (lambda: RunLog.open(prepared, log.run_id), lambda: start(prepared)):
        with pytest.raises(
            HeadstartError, match=r"^MLflow .* is not in .*: headstart index$"
        ) as caught:
            attempt()
        assert "\n" not in str(caught.value)
