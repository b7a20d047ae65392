"""`headstart index`: what the store lost is there again, and nothing is there twice."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
import small_results
from mlflow.entities import Run

from headstart import cli
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A project with results of one experiment, and the index made from them."""
    project = tmp_path_factory.mktemp("project")
    small_results.write(project / "results/cells")
    index(project)
    return project


@pytest.fixture
def project(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "project"))


def store_of(project: Path) -> str:
    return f"sqlite:///{project}/results/mlflow/mlflow.db"


def index(project: Path, *arguments: str) -> int:
    """Index in this process, where MLflow keeps connections by the address: it is absolute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("MLFLOW_TRACKING_URI", store_of(project))
        return cli.main(["index", *arguments])


def runs(project: Path, address: str = "") -> list[Run]:
    """All runs of the store, superseded ones too."""
    client = mlflow.MlflowClient(address or store_of(project))
    return list(client.search_runs([client.get_experiment_by_name("cells").experiment_id]))


def test_every_run_has_its_settings_scores_cost_and_files(project):
    found = {run.info.run_name: run for run in runs(project)}
    assert len(found) == 6 + 1 + 1 + 2 + 1, "runs, ensemble, tuning, trials, parent"
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    full = found["full/fraction-1.0/split-0/seed-1"]
    assert full.data.params["strategy.phases.0.lr"] == "0.001" and full.data.params["seed"] == "1"
    metrics = full.data.metrics
    assert metrics["test_accuracy"] == 0.8 and metrics["device_seconds"] == 13.5
    assert metrics["trainable_parameters"] == 3_373_570
    assert metrics["accuracy_low"] == pytest.approx(0.85 - 0.05)
    assert metrics["accuracy_high"] == pytest.approx(0.85 + 0.04)
    assert full.data.tags["split_hash"] == "5917" and full.inputs.dataset_inputs
    client = mlflow.MlflowClient(store_of(project))
    history = client.get_metric_history(full.info.run_id, "val_loss")
    assert [(each.step, each.value) for each in history] == [(1, 0.9), (2, 0.6), (3, 0.5)]
    ensemble = found["mean/fraction-1.0/split-0/seed-0"].data
    assert ensemble.params == {"derived": "ensemble"} and "test_accuracy" in ensemble.metrics
    trial = found["tuning/strategy-full/fraction-1.0/split-0/trial-1"].data
    assert trial.params == {"lr": "0.003"} and trial.tags["headstart.kind"] == "trial"


def test_the_parent_run_has_verdict_and_report(project):
    (parent,) = [run for run in runs(project) if run.info.run_name == "cells"]
    assert parent.data.tags["mlflow.note.content"] == "full leads."
    client = mlflow.MlflowClient(store_of(project))
    listed = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert listed == {"comparison", "report.html"}


def test_twice_is_as_good_as_once(project, capsys):
    before = {run.info.run_id: run.data.to_dictionary() for run in runs(project)}
    assert index(project) == 0
    assert "7 runs, 0 of them logged now" in capsys.readouterr().out
    assert {run.info.run_id: run.data.to_dictionary() for run in runs(project)} == before


def test_a_lost_store_is_made_again_and_jobs_find_their_runs(project):
    table = project / "results/cells/comparison/runs.csv"
    record = project / "results/cells/runs/full/fraction-1.0/split-0/seed-0/run.json"
    before, known = table.read_bytes(), record.read_bytes()
    tags = experiment_tags(project)
    shutil.rmtree(project / "results/mlflow")
    command = [sys.executable, "-m", "headstart.cli", "index"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, cwd=project, env=environment, check=True)
    assert (table.read_bytes(), record.read_bytes()) == (before, known)
    assert experiment_tags(project) == tags and len(runs(project)) == 11
    prepared = connection.read(project / "results/cells/tracking.json")
    assert prepared["uri"] == "sqlite:///results/mlflow/mlflow.db"
    prepared |= {"uri": store_of(project)}
    log = RunLog.open(prepared, json.loads(known)["mlflow_run_id"])
    run = log.client.get_run(log.run_id)
    assert run.info.run_name == "full/fraction-1.0/split-0/seed-0"
    log.end()


def experiment_tags(project: Path) -> dict[str, str]:
    """Its kind and the prepared pages among them."""
    query = "SELECT key, value FROM experiment_tags"
    with closing(sqlite3.connect(project / "results/mlflow/mlflow.db")) as connection:
        tags = dict(connection.execute(query).fetchall())
    assert tags["mlflow.experimentKind"] == "custom_model_development" and len(tags) == 3
    return tags


def test_a_run_that_a_kill_cut_short_and_a_deleted_one_are_whole_again(project):
    client = mlflow.MlflowClient(store_of(project))
    found = {run.info.run_name: run.info.run_id for run in runs(project)}
    cut, deleted = (found[f"full/fraction-1.0/split-0/seed-{seed}"] for seed in (0, 1))
    client.update_run(cut, status="RUNNING")
    client.delete_run(deleted)
    assert index(project) == 0
    old = client.get_run(cut)
    assert (old.info.status, old.data.tags["headstart.superseded"]) == ("KILLED", "true")
    assert client.get_run(deleted).info.lifecycle_stage == "active"
    assert len(runs(project)) == 12
    assert index(project) == 0 and len(runs(project)) == 12


def test_the_run_that_a_job_logged_is_replaced_once_where_it_lacks_something(project):
    """As in a store from before runs were given their cost."""
    prepared = connection.read(project / "results/cells/tracking.json") | {"uri": store_of(project)}
    record = project / "results/cells/runs/full/fraction-1.0/split-0/seed-0/run.json"
    old = RunLog.start(prepared, "full/fraction-1.0/split-0/seed-0", {}, {})
    old.end()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"mlflow_run_id": old.run_id}))
    for _ in range(2):
        assert index(project) == 0 and len(runs(project)) == 13


def test_another_store_gets_the_same(project):
    address = f"sqlite:///{project}/other.db"
    known = (project / "results/cells/tracking.json").read_text()
    assert index(project, "--store", address) == 0
    assert (project / "results/cells/tracking.json").read_text() == known
    assert [told(each) for each in ordered(runs(project, address))] == [
        told(each) for each in ordered(runs(project))
    ]


def ordered(found: list[Run]) -> list[Run]:
    return sorted(found, key=lambda run: str(run.info.run_name))


def told(run: Run) -> tuple:
    tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
    return run.info.run_name, run.info.status, run.data.params, run.data.metrics, tags


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "no experiment under results/ has a trained run"),
        (["--store", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer"),
        (["--store", "nonsense://x"], "'nonsense://x' names no MLflow store"),
    ],
)
def test_what_cannot_be_indexed_is_one_line(project, tmp_path, capsys, arguments, part):
    (tmp_path / "empty").mkdir()
    assert index(project if arguments else tmp_path / "empty", *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
