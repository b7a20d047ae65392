"""The workflow itself, run by Snakemake on real photographs, then changed, killed and broken."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.workflow

ROOT = Path(__file__).parents[2]
PER_CLASS = 40
PHASE = {"train": "all", "epochs": 2, "lr": 0.001, "schedule": "one_cycle"}
CONFIG = {
    "experiment": "cells",
    "dataset": {"source": "folder", "path": "images", "split": {"test": 0.3, "val": 0.2}},
    "image": {"size": 32, "crop_pct": 1.0},
    "augmentation": [{"name": "horizontal_flip"}],
    "features": {"views": 2},
    "training": {"batch_size": 16},
    "strategies": {
        "head_only": {"init": "pretrained", "phases": [{"train": "head", "epochs": 3, "lr": 0.01}]},
        "full": {"init": "pretrained", "phases": [PHASE | {"head_lr_multiplier": 10}]},
        "scratch": {"init": "random", "phases": [PHASE]},
    },
    "seeds": [0],
    "report": {"title": "Cells"},
}
RUNS = Path("results/cells/runs")
FULL = RUNS / "full/fraction-1.0/seed-0"
TRAIN, EVALUATE = ["train_from_features", "train_from_images"], ["evaluate", "compare", "report"]


def snakemake(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--cores", "4", *arguments]
    return subprocess.run(
        [*command, "--configfile", "experiment.yaml"],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def write_config(project: Path, config: dict) -> None:
    (project / "experiment.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def planned(project: Path) -> dict[str, int]:
    """Jobs per rule that a dry run announces."""
    done = snakemake(project, "--dry-run")
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    if "Job stats:" not in output:
        assert "Nothing to be done" in output
        return {}
    table = output[output.rindex("Job stats:") :]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished experiment on ELPV cells as JPEGs, three broken files planted."""
    project = tmp_path_factory.mktemp("project")
    for name in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", project)
    write_images(project / "images")
    write_config(project, CONFIG)
    done = snakemake(project, "--resources", "gpu=2", CUDA_VISIBLE_DEVICES="0,1")
    assert done.returncode == 0, done.stderr
    (project / "terminal.txt").write_text(done.stderr)
    return project


def write_images(folder: Path) -> None:
    spec = find_spec("elpv_dataset")
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = pd.read_csv(data / "labels.csv", sep=r"\s+", names=["path", "probability", "type"])
    for name, chosen in (
        ("functional", rows[rows.probability == 0]),
        ("defective", rows[rows.probability == 1]),
    ):
        (folder / name).mkdir(parents=True)
        for path in chosen.path[:PER_CLASS]:
            with Image.open(data / path) as image:
                image.resize((48, 48)).save(folder / name / f"{Path(path).stem}.jpg", quality=95)
    whole = next((folder / "functional").iterdir()).read_bytes()
    (folder / "functional" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "functional" / "nothing.jpg").touch()
    (folder / "defective" / "text.jpg").write_text("no image")


@pytest.fixture
def changed(project: Path, tmp_path: Path) -> Path:
    """A copy of the finished project to change."""
    return Path(shutil.copytree(project, tmp_path / "copy"))


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
    train_val = pd.read_csv(results / "train_val.csv")
    assert len(split) == 2 * PER_CLASS == (manifest.status == "ok").sum()
    test = set(split.id[split.split == "test"])
    assert len(test) == 24 and not test & set(train_val.id)
    predictions = pd.read_parquet(project / FULL / "predictions.parquet")
    assert set(predictions.id) == test


def test_runs_table_agrees_with_the_predictions(project: Path) -> None:
    runs = pd.read_csv(project / "results/cells/comparison/runs.csv")
    assert list(runs.strategy) == ["head_only", "full", "scratch"]
    for run in runs.itertuples():
        folder = project / RUNS / f"{run.strategy}/fraction-1.0/seed-0"
        predictions = pd.read_parquet(folder / "predictions.parquet")
        assert run.accuracy == pytest.approx((predictions.label == predictions.predicted).mean())
    head = runs.set_index("strategy").trainable_parameters
    assert head["head_only"] == 1280 * 2 + 2 and head["full"] == head["scratch"] > 3_000_000


def test_head_only_keeps_the_backbone_bit_for_bit(project: Path) -> None:
    from safetensors.torch import load_file

    pretrained = load_file(project / "results/cells/backbone/weights.safetensors")
    trained = load_file(project / RUNS / "head_only/fraction-1.0/seed-0/model.safetensors")
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


def learning_rate(config: dict) -> None:
    config["strategies"]["full"]["phases"][0]["lr"] = 0.002


def epochs(config: dict) -> None:
    config["strategies"]["head_only"]["phases"][0]["epochs"] = 4


def data_seed(config: dict) -> None:
    config["dataset"]["split"]["seed"] = 1


def title(config: dict) -> None:
    config["report"]["title"] = "Another title"


def augmentation(config: dict) -> None:
    config["augmentation"].append({"name": "vertical_flip"})


def batch_size(config: dict) -> None:
    config["training"]["batch_size"] = 8


def new_strategy(config: dict) -> None:
    config["strategies"]["last"] = {
        "init": "pretrained",
        "phases": [{"train": "last_k_stages", "stages": 1, "epochs": 1, "lr": 0.001}],
    }


def smaller_fraction(config: dict) -> None:
    config["fractions"] = [0.5, 1.0]


def another_seed(config: dict) -> None:
    config["seeds"] = [0, 1]


def test_the_same_values_written_otherwise_rerun_nothing(project: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["fractions"] = [1.0]
    config["strategies"] = dict(reversed(config["strategies"].items()))
    config["strategies"]["full"]["phases"][0]["weight_decay"] = 0.010
    write_config(project, config)
    try:
        assert planned(project) == {}
    finally:
        write_config(project, CONFIG)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (learning_rate, {"train_from_images": 1, "evaluate": 1}),
        (epochs, {"train_from_features": 1, "evaluate": 1}),
        (
            data_seed,
            {"split": 1, "sanity": 1, "train_from_features": 1, "train_from_images": 2}
            | {"evaluate": 3},
        ),
        (
            augmentation,
            {"sanity": 1, "features": 1, "train_from_features": 1, "train_from_images": 2}
            | {"evaluate": 3},
        ),
        (batch_size, {"train_from_features": 1, "train_from_images": 2, "evaluate": 3}),
        (new_strategy, {"train_from_images": 1, "evaluate": 1}),
        (another_seed, {"train_from_features": 1, "train_from_images": 2, "evaluate": 3}),
        (smaller_fraction, {"train_from_features": 1, "train_from_images": 2, "evaluate": 3}),
        (title, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_changed_value_reruns_what_it_affects(
    project: Path, change, expected: dict[str, int] | None
) -> None:
    config = json.loads(json.dumps(CONFIG))
    change(config)
    write_config(project, config)
    try:
        jobs = planned(project)
    finally:
        write_config(project, CONFIG)
    assert jobs == ({"compare": 1, "report": 1} | expected if expected else {"report": 1})


def test_last_stages_on_unchanging_images_train_from_cached_maps(changed: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    phase = {"train": "last_k_stages", "stages": 2, "epochs": 2, "lr": 0.001}
    config["strategies"] = {"last": {"init": "pretrained", "augmentation": [], "phases": [phase]}}
    write_config(changed, config)
    jobs = planned(changed)
    assert jobs == {"prefix": 1, "train_from_features": 1, "evaluate": 1} | dict.fromkeys(
        ("compare", "report"), 1
    )
    metrics = RUNS / "last/fraction-1.0/seed-0/metrics.json"
    done = snakemake(changed, str(metrics))
    assert done.returncode == 0, done.stderr
    run = json.loads((changed / metrics.with_name("run.json")).read_text())
    assert run["feature_seconds"] > 0
    assert 1280 * 2 + 2 < run["trainable_parameters"] < run["parameters"]
    maps = changed / "results/cells/features/before_last_2.npy"
    assert maps.stat().st_size > 2 * PER_CLASS * 4 * 192


def test_an_edited_library_module_reruns_the_rules_that_import_it(changed: Path) -> None:
    module = changed / "workflow/headstart/evaluation.py"
    module.write_text(module.read_text() + "\n# edited\n")
    assert planned(changed) == {"evaluate": 3, "compare": 1, "report": 1}


def test_an_added_image_is_noticed(changed: Path) -> None:
    some = next((changed / "images/defective").glob("cell*.jpg"))
    shutil.copy(some, some.with_name("added.jpg"))
    assert planned(changed)["manifest"] == 1


def test_numbers_on_the_command_line_are_numbers(project: Path) -> None:
    overrides = ["seeds=[0]", "dataset={split: {test: 0.3, seed: 0}}", "image={size: 32}"]
    done = snakemake(project, "--dry-run", "--config", *overrides)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_part_of_the_experiment_can_be_asked_for(changed: Path) -> None:
    shutil.rmtree(changed / "results")
    done = snakemake(changed, "results/cells/source.csv")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def killed_after_an_epoch(project: Path) -> None:
    """Start the training of `full` and kill its process with SIGKILL after its first epoch."""
    command = [sys.executable, "-m", "snakemake", "--cores", "4", str(FULL / "model.safetensors")]
    running = subprocess.Popen(
        [*command, "--configfile", "experiment.yaml"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    )
    resume = project / "results/cells/resume/full_fraction-1.0_seed-0.pt"
    deadline = time.monotonic() + 120
    while not resume.exists():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pattern = f"{project}/.snakemake/scripts/.*train.py"
    pids = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
    for pid in pids.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert resume.exists() and not (project / FULL / "model.safetensors").exists()


def test_a_killed_training_goes_on_and_ends_the_same(project: Path, tmp_path: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["strategies"]["full"]["phases"][0]["epochs"] = 8
    results = []
    for name in ("killed", "whole"):
        copy = Path(shutil.copytree(project, tmp_path / name))
        write_config(copy, config)
        if name == "killed":
            killed_after_an_epoch(copy)
        done = snakemake(copy, str(FULL / "model.safetensors"))
        assert done.returncode == 0, done.stderr
        assert ("going on after epoch" in done.stderr) == (name == "killed")
        history = pd.read_csv(copy / FULL / "history.csv")
        timeless = history.drop(columns=["seconds", "images_per_second"])
        results.append(((copy / FULL / "model.safetensors").read_bytes(), timeless))
        assert not list((copy / "results/cells/resume").iterdir())
    (killed_model, killed_history), (model, history) = results
    assert killed_model == model
    pd.testing.assert_frame_equal(killed_history, history)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset": {"source": "folder", "path": "nowhere"}}, "nowhere"),
        ({"backbone": {"name": "resnet81"}}, "backbone.name is 'resnet81'"),
        ({"dataset": {**CONFIG["dataset"], "split": {"test": 1.2}}}, "dataset.split.test is 1.2"),
    ],
    ids=["folder", "backbone", "share"],
)
def test_a_wrong_config_stops_in_one_line_before_any_job(
    changed: Path, change: dict, told: str
) -> None:
    write_config(changed, CONFIG | change)
    done = snakemake(changed)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert re.match(r"error: experiment\.yaml:\d+: ", lines[-1]) and told in lines[-1]
    assert "Traceback" not in done.stderr and "Execute" not in done.stderr
