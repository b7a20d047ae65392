"""Answers, studies and run folders that several modules of the verdict are tested on."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.verdict.scores import Scores, Study


def _answers(accuracy: float, seed: int, n: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < accuracy


@pytest.fixture
def answers() -> Callable[..., np.ndarray]:
    """Right or wrong, bool (n,), each right with the given probability."""
    return _answers


@pytest.fixture
def make_study() -> Callable[..., Study]:
    """A study of split 0 at fraction 1 from strategy=(seeds, rows)."""

    def make(floor: np.ndarray | None = None, **strategies: tuple) -> Study:
        cells = {
            (name, 1.0): Scores(tuple((0, seed) for seed in seeds), np.array(rows, dtype=float))
            for name, (seeds, rows) in strategies.items()
        }
        n = next(iter(cells.values())).values.shape[1]
        majority = None if floor is None else Scores(((0, 0),), floor[None].astype(float), True)
        return Study(tuple(str(i) for i in range(n)), cells, 0.5, majority)

    return make


@pytest.fixture
def costs() -> Callable[..., pd.DataFrame]:
    """The columns of the runs table that the statement reads, from strategy=seconds."""

    def make(**seconds: float) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "strategy": name,
                    "fraction": 1.0,
                    "device_seconds": value + 1.0,
                    "accuracy": 0.9,
                    "device": "cpu",
                }
                for name, value in seconds.items()
            ]
        )

    return make


@pytest.fixture
def images() -> pd.DataFrame:
    """Columns id and label of 300 test images."""
    return pd.DataFrame(
        {"id": [f"i{i:04d}" for i in range(300)], "label": np.array(["a", "b", "b"] * 100)}
    )


@pytest.fixture
def write_run(tmp_path: Path, images: pd.DataFrame) -> Callable[..., Path]:
    """Write a run folder whose predictions are right where `right` says so.

    `run` changes run.json; `tested`, columns id and label, stands in for `images`. `draw` tells
    apart the probabilities, which are the seed's own unless it is given.
    """

    def write(
        strategy: str,
        seed: int,
        right: np.ndarray,
        tested: pd.DataFrame = images,
        draw: int | None = None,
        **run: object,
    ) -> Path:
        record = {
            "experiment": "toy",
            "strategy": strategy,
            "fraction": 1.0,
            "seed": seed,
            "device": "cpu",
            "epochs": 3,
            "train_seconds": 10.0,
            "feature_seconds": 1.0,
            "device_seconds": 2.0,
            "feature_device_seconds": 3.0,
            "tuning_device_seconds": 20.0,
            "trials": 4,
            "images_per_second": 50.0,
            "peak_memory_bytes": 1000 + seed,
            "trainable_parameters": 2562,
            "n_train": 1000,
            "mlflow_run_id": f"{strategy}{seed}",
            **run,
        }
        metrics = {
            name: {"value": float(np.mean(right)), "low": 0.0, "high": 1.0}
            for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc")
        }
        wrong = np.where(tested["label"] == "a", "b", "a")
        predictions = tested.assign(predicted=np.where(right, tested["label"], wrong))
        sure = 0.5 + 0.5 * np.random.default_rng(seed if draw is None else draw).random(len(tested))
        of_a = np.where(predictions["predicted"] == "a", sure, 1 - sure).astype(np.float32)
        predictions = predictions.assign(**{"p:a": of_a, "p:b": 1 - of_a})
        folder = tmp_path / f"{strategy}-{record['fraction']}-{run.get('split', 0)}-{seed}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "metrics.json").write_text(
            json.dumps(
                {
                    "n_test": len(tested),
                    "metrics": metrics,
                    "majority_floor": 2 / 3,
                    "majority_class": "b",
                    "classes": ["a", "b"],
                }
            )
        )
        predictions.to_parquet(folder / "predictions.parquet")
        return folder

    return write


@pytest.fixture
def run_dirs(write_run: Callable[..., Path]) -> list[Path]:
    """Three strategies with two seeds each, one of them at two fractions."""
    return [
        write_run(
            strategy,
            seed,
            _answers(accuracy, 10 * rank + seed),
            fraction=fraction,
            device_seconds=seconds,
        )
        for rank, (strategy, accuracy, fraction, seconds) in enumerate(
            [
                ("scratch", 0.7, 1.0, 60.0),
                ("full", 0.93, 1.0, 50.0),
                ("full", 0.8, 0.1, 8.0),
                ("head_only", 0.92, 1.0, 5.0),
            ]
        )
        for seed in (1, 0)
    ]
