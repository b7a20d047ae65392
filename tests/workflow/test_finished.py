"""What a finished experiment leaves on the terminal, under results/ and in MLflow."""

import json
import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from small_project import FULL, PER_CLASS, RUNS, planned, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def test_terminal_tells_broken_files_verdict_and_where_to_look(project: Path) -> None:
    terminal = (project / "terminal.txt").read_text()
    for broken in ("functional/cut.jpg", "functional/nothing.jpg", "defective/text.jpg"):
        assert broken in terminal
    last = terminal.strip().splitlines()[-2:]
    assert last[0].endswith("results/cells/report.html")
    assert last[1].endswith("headstart ui")
    verdict = json.loads((project / "results/cells/comparison/verdict.json").read_text())
    shown = " ".join(terminal.split())
    assert " ".join(verdict["statement"].split()) in shown
    assert "Warning" not in terminal and "Traceback" not in terminal


def test_split_is_frozen_and_training_sees_no_test_image(project: Path) -> None:
    results = project / "results/cells"
    split = pd.read_csv(results / "split.csv")
    manifest = pd.read_csv(results / "manifest.csv")
    train_val = pd.read_csv(results / "splits/0/train_val.csv")
    assert len(split) == 2 * PER_CLASS == (manifest.status == "ok").sum()
    test = set(split.id[split["split-0"] == "test"])
    assert len(test) == 24 and not test & set(train_val.id)
    predictions = pd.read_parquet(project / FULL / "predictions.parquet")
    assert set(predictions.id) == test


def test_runs_table_agrees_with_the_predictions(project: Path) -> None:
    runs = pd.read_csv(project / "results/cells/comparison/runs.csv")
    assert list(runs.strategy) == ["head_only", "full", "scratch"]
    for run in runs.itertuples():
        folder = project / RUNS / f"{run.strategy}/fraction-1.0/split-0/seed-0"
        predictions = pd.read_parquet(folder / "predictions.parquet")
        assert run.accuracy == pytest.approx((predictions.label == predictions.predicted).mean())
    head = runs.set_index("strategy").trainable_parameters
    assert head["head_only"] == 1280 * 2 + 2 and head["full"] == head["scratch"] > 3_000_000


def test_head_only_keeps_the_backbone_bit_for_bit(project: Path) -> None:
    from safetensors.torch import load_file

    pretrained = load_file(project / "results/cells/backbone/weights.safetensors")
    trained = load_file(project / RUNS / "head_only/fraction-1.0/split-0/seed-0/model.safetensors")
    body = [name for name in trained if not name.startswith("classifier.")]
    assert len(body) == 294
    assert all(trained[name].equal(pretrained[name]) for name in body)


def test_mlflow_has_every_run_under_one_parent(project: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{project / 'results/mlflow/mlflow.db'}")
    experiment = client.get_experiment_by_name("cells")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.data.tags["headstart.kind"] == "experiment"]
    children = [run for run in runs if run not in parents]
    assert len(parents) == 1 and len(children) == 3
    verdict = json.loads((project / "results/cells/comparison/verdict.json").read_text())
    assert parents[0].info.status == "FINISHED"
    assert parents[0].data.tags["mlflow.note.content"] == verdict["statement"]
    files = {item.path for item in client.list_artifacts(parents[0].info.run_id)}
    assert files == {"comparison", "report.html"}
    for run in children:
        recorded = json.loads((project / RUNS / run.info.run_name / "run.json").read_text())
        assert recorded["mlflow_run_id"] == run.info.run_id
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.tags["split_hash"] == recorded["split_hash"]
        assert "test_accuracy" in run.data.metrics and run.inputs.dataset_inputs
        history = client.get_metric_history(run.info.run_id, "val_loss")
        assert len(history) == recorded["epochs"]


def test_two_pretended_gpus_are_shared_out(project: Path) -> None:
    logs = (project / "results/cells/logs").rglob("*.log")
    leased = [re.findall(r"leased GPU (.*)", log.read_text()) for log in logs]
    assert {name for names in leased for name in names} == {"0", "1"}


def test_snakemake_s_own_report_has_the_captions(project: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = snakemake(project, "--report", str(page))
    assert done.returncode == 0, done.stderr
    caption = (project / "workflow/report/reliability.rst").read_text().split(".")[0]
    assert " ".join(caption.split()) in " ".join(page.read_text().split())


def test_nothing_to_do_afterwards(project: Path) -> None:
    assert planned(project) == {}
