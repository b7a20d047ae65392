"""A tracking server that dies half way and comes back: in the end the index lacks nothing."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from ports import free_port
from small_project import CONFIG, FULL, check_out, snakemake, write_config
from small_servers import Real

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("outage"), pytest.mark.faults]

HEAD = {"train": "head", "epochs": 1, "lr": 0.01}
ALL = {"train": "all", "epochs": 6, "lr": 0.001}
SMALL = CONFIG | {
    "strategies": {
        "head_only": {"init": "pretrained", "phases": [HEAD]},
        "full": {"init": "pretrained", "phases": [ALL]},
    }
}
#: What two studies of the same results do not share: times, and ids of runs.
TIMES = {"device_seconds", "seconds", "images_per_second"}
IDS = {"mlflow.parentRunId", "headstart.stands_for"}


def index(address: str) -> dict[str, Any]:
    """All that MLflow has of the experiment, but for what was superseded."""
    client = mlflow.MlflowClient(address)
    experiment = client.get_experiment_by_name("cells")
    runs = client.search_runs([experiment.experiment_id])
    current = [run for run in runs if run.data.tags.get("headstart.superseded") != "true"]
    assert len({run.info.run_name for run in current}) == len(current)
    found: dict[str, Any] = {run.info.run_name: told(client, run) for run in current}
    return found | {"experiment": set(experiment.tags)}


def told(client: mlflow.MlflowClient, run: Run) -> dict[str, Any]:
    metrics = {
        name: [(point.step, point.value) for point in history(client, run, name)]
        for name in run.data.metrics
    }
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {name: None if name in TIMES else each for name, each in metrics.items()},
        "tags": {name: tag for name, tag in run.data.tags.items() if name not in IDS},
        "files": files(client, run.info.run_id),
        "data": [entry.dataset.name for entry in run.inputs.dataset_inputs],
        "models": len(run.outputs.model_outputs) if run.outputs else 0,
    }


def history(client: mlflow.MlflowClient, run: Run, name: str) -> list:
    return sorted(client.get_metric_history(run.info.run_id, name), key=lambda point: point.step)


def files(client: mlflow.MlflowClient, run_id: str, folder: str | None = None) -> list[str]:
    found: list[str] = []
    for item in client.list_artifacts(run_id, folder):
        found += files(client, run_id, item.path) if item.is_dir else [item.path]
    return sorted(found)


def test_the_index_is_that_of_an_undisturbed_study(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    check_out(undisturbed)
    write_config(undisturbed, SMALL)
    servers = [Real(tmp_path / f"server {number}", free_port()) for number in range(2)]
    calm, dying = servers
    try:
        done = snakemake(undisturbed, MLFLOW_TRACKING_URI=calm.address)
        assert done.returncode == 0 and "headstart index" not in done.stderr, done.stderr
        wanted = index(calm.address)
        calm.kill()
        disturbed = before_training(undisturbed, tmp_path / "disturbed")
        said = killed_half_way(disturbed, dying)
        assert "does not answer (Connection refused)" in said and "Traceback" not in said, said
        dying.start()
        done = snakemake(disturbed, MLFLOW_TRACKING_URI=dying.address)
        assert done.returncode == 0 and "of them logged now" in done.stderr, done.stderr
        assert index(dying.address) == wanted and len(wanted) == 4
        again = snakemake(disturbed, MLFLOW_TRACKING_URI=dying.address)
        assert again.returncode == 0 and "headstart index" not in again.stderr, again.stderr
    finally:
        for server in servers:
            server.kill()


def before_training(finished: Path, copy: Path) -> Path:
    """A copy of a finished project without what came of its trainings."""
    shutil.copytree(finished, copy)
    results = copy / "results/cells"
    for folder in ("runs", "comparison", "tables"):
        shutil.rmtree(results / folder)
    for file in ("tracking.json", "report.html"):
        (results / file).unlink()
    return copy


def killed_half_way(project: Path, server: Real) -> str:
    """Run the study, kill the server after the first epoch of `full`, and return what was said."""
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--configfile", "experiment.yaml"]
    log = project / "said.txt"
    with log.open("w") as file:
        study = subprocess.Popen(
            command,
            cwd=project,
            env=os.environ | {"MLFLOW_TRACKING_URI": server.address},
            stdout=file,
            stderr=file,
        )
    resume = project / "results/cells/resume/full_fraction-1.0_split-0_seed-0.pt"
    while not resume.exists():
        assert study.poll() is None, log.read_text()
        time.sleep(0.01)
    server.kill()
    assert not (project / FULL / "run.json").exists(), "it was killed too late"
    assert study.wait(600) == 0, log.read_text()
    return log.read_text()
