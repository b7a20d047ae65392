"""Tracking: a store that several jobs may open, runs that are found again, models that load."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from headstart import HeadstartError
from headstart.models import backbones
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog, flatten

PREPARE = """
import json, sys
from pathlib import Path
from headstart.tracking import connection
print(json.dumps(connection.prepare(Path(sys.argv[1]), "cells")))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store") / "mlflow"


@pytest.fixture(scope="module")
def prepared(folder) -> list[tuple[int, str, str]]:
    """What four processes that prepare one store at once return: status, stdout, stderr."""
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    outputs = [job.communicate(timeout=120) for job in jobs]
    return [(job.returncode, *output) for job, output in zip(jobs, outputs, strict=True)]


@pytest.fixture(scope="module")
def shared(prepared) -> dict[str, str]:
    return json.loads(prepared[0][1])


def client(store: dict[str, str]) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(store["uri"])


def start(store: dict[str, str], key: str = "full/fraction-1.0/seed-0", **settings) -> RunLog:
    return RunLog.start(store, key, settings or {"lr": 0.1}, {"strategy": "full"})


def test_several_processes_may_prepare_at_once(prepared, shared):
    assert [status for status, _, _ in prepared] == [0] * 4, prepared
    assert len({output for _, output, _ in prepared}) == 1
    names = sorted(found.name for found in client(shared).search_experiments())
    assert names == ["Default", "cells"]


def test_prepare_is_idempotent(shared, folder):
    assert connection.prepare(folder, "cells") == shared
    other = connection.prepare(folder, "other")
    assert other["uri"] == shared["uri"] == f"sqlite:///{folder / 'mlflow.db'}"
    assert other["experiment_id"] != shared["experiment_id"]
    parent = client(shared).get_run(shared["parent_run_id"])
    assert parent.info.run_name == "cells"
    with sqlite3.connect(folder / "mlflow.db") as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_store_may_be_named(tmp_path, monkeypatch):
    assert connection.uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert connection.uri(tmp_path) == "http://127.0.0.1:5000"


def test_a_run_has_its_parent_parameters_metrics_and_end(shared):
    log = start(shared, phases=[{"lr": 0.001}, {"lr": None}], name="")
    rows = [{"epoch": n, "phase": 0, "val_loss": 1 / n, "val_accuracy": 1} for n in range(1, 601)]
    log.epochs(rows[:2])
    log.epochs(rows)
    log.metrics({"test_accuracy": 0.5})
    log.describe("a run")
    log.end()
    run = client(shared).get_run(log.run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "full/fraction-1.0/seed-0"
    assert run.data.params == {"phases.0.lr": "0.001", "phases.1.lr": "None", "name": ""}
    assert run.data.tags["mlflow.parentRunId"] == shared["parent_run_id"]
    assert run.data.tags["mlflow.note.content"] == "a run"
    assert run.data.tags["strategy"] == "full"
    history = client(shared).get_metric_history(log.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(n, 1 / n) for n in range(1, 601)]
    assert set(run.data.metrics) == {"val_loss", "val_accuracy", "test_accuracy"}


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_a_run_ends_as_its_job_does(shared, error, status):
    log = start(shared, "ending/seed-0")
    with contextlib.suppress(ValueError, KeyboardInterrupt), log.ending():
        if error:
            raise error
    assert client(shared).get_run(log.run_id).info.status == status


def test_a_job_that_is_terminated_ends_its_run_as_killed(shared, tmp_path):
    code = f"""
import os, signal
from headstart import logs
from headstart.tracking.runlog import RunLog
with logs.job({str(tmp_path / "job.log")!r}):
    with RunLog.start({shared!r}, "terminated/seed-0", {{}}, {{}}).ending():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 143
    (run,) = client(shared).search_runs(
        [shared["experiment_id"]], "attributes.run_name = 'terminated/seed-0'"
    )
    assert run.info.status == "KILLED"


def test_a_server_that_is_down_is_one_line_and_soon(shared):
    down = shared | {"uri": "http://127.0.0.1:9"}
    for attempt in (lambda: start(down), lambda: RunLog.open(down, "0" * 32)):
        with pytest.raises(HeadstartError, match="http://127.0.0.1:9 does not answer") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_a_diverged_metric_does_not_break_the_log(shared):
    log = start(shared)
    log.metrics({"loss": float("nan"), "other": float("inf")})
    log.end()


def test_a_rerun_supersedes_the_older_run(shared):
    key = "scratch/fraction-0.5/seed-1"
    runs = [start(shared, key) for _ in range(3)]
    neighbour = start(shared, "scratch/fraction-0.5/seed-11")
    tags = [client(shared).get_run(run.run_id).data.tags for run in runs]
    assert [tag["headstart.superseded"] for tag in tags] == ["true", "true", "false"]
    assert tags[0]["headstart.superseded_by"] == runs[1].run_id
    assert tags[1]["headstart.superseded_by"] == runs[2].run_id
    status = [client(shared).get_run(run.run_id).info.status for run in runs]
    assert status == ["KILLED", "KILLED", "RUNNING"], "whose jobs were killed outright"
    other = client(shared).get_run(neighbour.run_id).data.tags
    assert other["headstart.superseded"] == "false"


def test_many_and_long_parameters_are_kept(shared):
    log = start(shared, numbers=list(range(250)), text="x" * 9000)
    parameters = client(shared).get_run(log.run_id).data.params
    assert len(parameters) == 251
    assert parameters["numbers.249"] == "249" and parameters["text"] == "x" * 6000


def test_flatten_names_every_leaf():
    nested = {"a": {"b": [1, {"c": None}]}, "d": (True,), "e": {}}
    assert flatten(nested) == {"a.b.0": "1", "a.b.1.c": "None", "d.0": "True"}


def test_files_and_images_are_attached(shared, tmp_path):
    log = start(shared)
    (tmp_path / "run.json").write_text("{}")
    log.files([tmp_path / "run.json"], "figures")
    frame = pd.DataFrame({"id": ["a", "b"], "label": ["x", "y"], "split": ["train", "val"]})
    log.dataset(frame, "cells", str(tmp_path / "run.json"))
    listed = client(shared).list_artifacts(log.run_id, "figures")
    assert [item.path for item in listed] == ["figures/run.json"]
    (entry,) = client(shared).get_run(log.run_id).inputs.dataset_inputs
    assert entry.dataset.name == "cells"


def test_runs_may_log_the_same_data_set_at_once(shared):
    """MLflow looks for a data set and then inserts it, and two runs at once insert it twice."""
    logs = [start(shared, f"full/fraction-1.0/seed-{seed}") for seed in range(6)]
    frame = pd.DataFrame({"id": ["a"], "label": ["cat"]})
    names = [f"cells {number}" for number in range(8)]
    together = threading.Barrier(len(logs))

    def log_all(log):
        for name in names:
            together.wait(timeout=60)
            log.dataset(frame, name, "train_val.csv")

    with ThreadPoolExecutor(len(logs)) as pool:
        list(pool.map(log_all, logs))
    for log in logs:
        logged = client(shared).get_run(log.run_id).inputs.dataset_inputs
        assert sorted(entry.dataset.name for entry in logged) == names


def test_a_lost_run_is_one_line(shared):
    run_id = "0" * 32
    with pytest.raises(HeadstartError) as caught:
        RunLog.open(shared, run_id)
    text = str(caught.value)
    assert run_id in text and "headstart index" in text and "\n" not in text


def test_a_lost_experiment_is_one_line(shared):
    with pytest.raises(HeadstartError) as caught:
        start(shared | {"experiment_id": "999"})
    text = str(caught.value)
    assert "experiment 999" in text and "headstart index" in text and "\n" not in text


def test_a_logged_model_loads_safely_and_takes_any_batch(shared, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = backbones.create("test_efficientnet", "timm", 3).eval()
    images = np.random.default_rng(0).normal(size=(5, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    log = start(shared, "model/fraction-1.0/seed-0")
    log.model(model, images[:2])
    log.end()
    (found,) = client(shared).search_logged_models([shared["experiment_id"]])
    assert found.source_run_id == log.run_id
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(shared["uri"])
    info = mlflow.models.get_model_info(found.model_uri)
    assert info.signature is not None
    assert info.signature.inputs.inputs[0].shape == (-1, 3, 32, 32)
    assert info.signature.outputs.inputs[0].shape == (-1, 3)
    loaded = mlflow.pytorch.load_model(found.model_uri)
    for n in (1, 2, 5):
        with torch.no_grad():
            made = loaded(torch.from_numpy(images[:n])).numpy()
        np.testing.assert_allclose(made, wanted[:n], atol=1e-4)
    assert not any(name.endswith((".pkl", ".pth")) for name in os.listdir(tmp_path))
