"""Results of a finished experiment as its jobs leave them, but for the models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from headstart.verdict import evaluation

CLASSES = ["bright", "dark"]
#: How many of N test images the first seed gets right.
RIGHT = {"full": 36, "head_only": 32, "scratch": 28}
SEEDS = (0, 1)
N = 40


def write(folder: Path, fractions: tuple[float, ...] = (1.0,)) -> None:
    """Write the results of three strategies, an ensemble of `full` and two trials of it."""
    folder.mkdir(parents=True)
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    labels = [CLASSES[k % 2] for k in range(N)]
    frame = pd.DataFrame({"id": [f"i{k}" for k in range(N)], "label": labels})
    frame["split"] = ["train", "train", "train", "val"] * (N // 4)
    (folder / "splits/0").mkdir(parents=True)
    frame.to_csv(folder / "splits/0/train_val.csv", index=False)
    places = [(name, part, seed) for name in RIGHT for part in fractions for seed in SEEDS]
    rows = [_run(folder, *place) for place in places]
    rows += [_run(folder, "mean", part, 0, derived="ensemble") for part in fractions]
    _choice(folder / "tuning/full/fraction-1.0/split-0")
    _comparison(folder / "comparison", pd.DataFrame(rows))
    (folder / "report.html").write_text("<h1>Report</h1>")


def accuracy(strategy: str, seed: int) -> float:
    return (RIGHT.get(strategy, 38) - 4 * seed) / N


def _run(folder: Path, strategy: str, fraction: float, seed: int, derived: str = "") -> dict:
    place = folder / f"runs/{strategy}/fraction-{fraction}/split-0/seed-{seed}"
    (place / "figures").mkdir(parents=True)
    phase = {"train": "head" if strategy == "head_only" else "all", "epochs": 3, "lr": 0.001}
    run = {
        "experiment": folder.name,
        "strategy": strategy,
        "fraction": fraction,
        "split": 0,
        "seed": seed,
        "settings": {"strategy": {"init": "pretrained", "phases": [phase]}, "backbone": {}},
        "config_hash": "c0ffee",
        "split_hash": "5917",
        "git_commit": "",
        "device": "test CPU",
        "trainable_parameters": 2562 if strategy == "head_only" else 3_373_570,
        "device_seconds": 10.0 + seed,
        "feature_device_seconds": 2.0,
        "tuning_device_seconds": 0.5,
        "best_epoch": 3,
        "mlflow_run_id": f"{strategy}{fraction}{seed}".ljust(32, "0"),
    } | ({"derived": derived} if derived else {})
    (place / "run.json").write_text(json.dumps(run))
    if not derived:
        history = pd.DataFrame({"epoch": [1, 2, 3], "phase": 0, "val_loss": [0.9, 0.6, 0.5]})
        history.assign(val_accuracy=[0.5, 0.6, 0.7]).to_csv(place / "history.csv", index=False)
    codes = np.arange(N) % 2
    right = np.arange(N) / N < accuracy(strategy, seed)
    shares = np.where(right == (codes == 1), 0.8, 0.2)
    predictions = evaluation.predictions_frame(
        [f"t{k}" for k in range(N)], codes, np.stack([1 - shares, shares], axis=1), CLASSES
    )
    predictions.to_parquet(place / "predictions.parquet", index=False)
    metrics = evaluation.evaluate(predictions, CLASSES)
    (place / "metrics.json").write_text(json.dumps(metrics))
    (place / "figures/confusion.png").write_bytes(b"a figure")
    value = metrics["metrics"]["accuracy"]["value"]
    return {name: run[name] for name in ("strategy", "fraction", "mlflow_run_id")} | {
        "accuracy": value
    }


def _choice(folder: Path) -> None:
    folder.mkdir(parents=True)
    scores = {"val_accuracy": 0.7, "device_seconds": 0.25}
    trials = [{"tried": {"lr": rate}, "val_loss": 0.5} | scores for rate in (0.001, 0.003)]
    place = {"strategy": "full", "fraction": "1.0", "split": "0"}
    (folder / "choice.json").write_text(json.dumps({"place": place, "trials": trials}))


def _comparison(folder: Path, runs: pd.DataFrame) -> None:
    folder.mkdir()
    runs.to_csv(folder / "runs.csv", index=False)
    summary = runs.groupby(["strategy", "fraction"], as_index=False).accuracy.mean()
    ends = {"accuracy_low": summary.accuracy - 0.05, "accuracy_high": summary.accuracy + 0.04}
    summary.assign(**ends).to_csv(folder / "summary.csv", index=False)
    verdict = {"statement": "full leads.", "leader": "full", "metric": "accuracy"}
    (folder / "verdict.json").write_text(json.dumps(verdict))
