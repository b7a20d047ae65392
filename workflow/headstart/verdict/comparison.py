"""From the runs of an experiment to its verdict: which strategy leads, and by how much for sure.

Intervals of means and differences resample seeds and test images together, each seed pair gets
an exact McNemar test, and all pairs of strategies share one Holm correction; the methods and
their sources stand in `headstart.verdict.words.statistics`.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.verdict.statistics import (
    bootstrap_mean,
    bootstrap_p,
    holm,
    image_bootstrap,
    mcnemar,
    mean_interval,
    percentile_interval,
    wilson,
)
from headstart.verdict.words import statement, verdict_table

__all__ = ["Cell", "Correct", "compare", "load_correct", "runs_table", "summarize", "verdict_table"]

SIGNIFICANCE = 0.05
_METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"]
RUN_COLUMNS = [
    "strategy",
    "fraction",
    "seed",
    *_METRICS,
    "n_test",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "trainable_parameters",
    "epochs",
    "device",
    "mlflow_run_id",
    "feature_seconds",
]
Key = tuple[str, float]


@dataclass(frozen=True)
class Cell:
    """The runs of one strategy and fraction: right[s, i] says whether seed s got image i right."""

    seeds: tuple[int, ...]
    right: np.ndarray

    def rows(self, seeds: Sequence[int]) -> list[int]:
        return [self.seeds.index(seed) for seed in seeds]


@dataclass(frozen=True)
class Correct:
    """Every run's answers on the same n test images.

    Attributes:
        ids: n image ids; the columns of every cell follow them.
        cells: by (strategy, fraction), in the order the runs were given.
        majority_floor: accuracy of always answering the most common class.
    """

    ids: list[str]
    cells: dict[Key, Cell]
    majority_floor: float


def runs_table(run_dirs: Sequence[Path]) -> pd.DataFrame:
    """One row per run, the columns of runs.csv.

    Rows are sorted by strategy in the order of `run_dirs`, fraction and seed.

    Raises:
        HeadstartError: a run has no run.json or metrics.json, or two runs share a key.
    """
    rows = []
    for directory in run_dirs:
        run, metrics = _json(directory / "run.json"), _json(directory / "metrics.json")
        values = {name: metric["value"] for name, metric in metrics["metrics"].items()}
        row = {**run, **values, "n_test": metrics["n_test"]}
        row["feature_seconds"] = run["feature_seconds"] or 0.0
        rows.append({name: row[name] for name in RUN_COLUMNS})
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    twice = runs[runs.duplicated(["strategy", "fraction", "seed"])]
    if len(twice):
        first = twice.iloc[0]
        raise HeadstartError(
            f"two runs are {first.strategy}, fraction {first.fraction:g}, seed {first.seed}; "
            "give each run once"
        )
    order = {name: rank for rank, name in enumerate(runs["strategy"].unique())}
    return runs.sort_values(
        ["strategy", "fraction", "seed"],
        key=lambda column: column.map(order) if column.name == "strategy" else column,
        ignore_index=True,
    )


def load_correct(run_dirs: Sequence[Path]) -> Correct:
    """Read every run's predictions and align them by image id.

    Raises:
        HeadstartError: a file is missing, or two runs were evaluated on different test images.
    """
    answers: dict[Key, dict[int, np.ndarray]] = {}
    floors: dict[Key, float] = {}
    truth: pd.Series | None = None
    for directory in run_dirs:
        run, metrics = _json(directory / "run.json"), _json(directory / "metrics.json")
        frame = _predictions(directory / "predictions.parquet")
        if truth is None:
            truth = frame["label"]
        elif not truth.equals(frame["label"]):
            raise HeadstartError(
                f"{run_dirs[0]} and {directory} were evaluated on different test images or "
                "labels; rerun evaluate for both on the same split"
            )
        key = (run["strategy"], float(run["fraction"]))
        right = (frame["label"] == frame["predicted"]).to_numpy(dtype=bool)
        answers.setdefault(key, {})[int(run["seed"])] = right
        floors[key] = max(floors.get(key, 0.0), metrics["majority_floor"])
    if truth is None:
        raise HeadstartError("no runs to compare; train and evaluate at least one")
    cells = {
        key: Cell(tuple(sorted(seeds)), np.array([seeds[seed] for seed in sorted(seeds)]))
        for key, seeds in answers.items()
    }
    largest = max(fraction for _, fraction in cells)
    floor = max(floor for (_, fraction), floor in floors.items() if fraction == largest)
    return Correct(list(truth.index), cells, floor)


def summarize(
    runs: pd.DataFrame, correct: Correct, resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """One row per strategy and fraction, the columns of summary.csv.

    Metrics and times are means over seeds, memory the largest. The standard deviation over seeds
    (ddof 1) is empty with a single seed.
    """
    draws = _draws(correct.cells, resamples, seed)
    rows = []
    for (strategy, fraction), group in runs.groupby(["strategy", "fraction"], sort=False):
        key = (str(strategy), float(str(fraction)))
        low, high = mean_interval(correct.cells[key].right, bootstrap_mean(draws[key], seed))
        means = group[[*_METRICS, "train_seconds", "feature_seconds", "images_per_second"]].mean()
        rows.append(
            {
                "strategy": strategy,
                "fraction": fraction,
                "seeds": len(group),
                "n_test": group["n_test"].iloc[0],
                "accuracy": means["accuracy"],
                "accuracy_low": low,
                "accuracy_high": high,
                "accuracy_sd": group["accuracy"].std(ddof=1),
                **means.drop("accuracy"),
                "peak_memory_bytes": group["peak_memory_bytes"].max(),
                "trainable_parameters": group["trainable_parameters"].max(),
                "epochs": group["epochs"].max(),
            }
        )
    return pd.DataFrame(rows)


def compare(runs: pd.DataFrame, correct: Correct, resamples: int = 10_000, seed: int = 0) -> dict:
    """The verdict at the largest fraction, ready for verdict.json.

    Two strategies are distinguishable if the Holm-adjusted p is below 0.05 and the 95 % interval
    of their difference excludes 0. Differences pair the seeds both strategies have; where they
    share none, seeds are drawn independently and only the images stay paired.

    Args:
        runs: from `runs_table`.
        correct: from `load_correct`, of the same runs.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    largest = max(fraction for _, fraction in correct.cells)
    cells = {key: cell for key, cell in correct.cells.items() if key[1] == largest}
    draws = _draws(cells, resamples, seed)
    ranked = sorted(cells, key=lambda key: -cells[key].right.mean())
    pairs = list(itertools.combinations(ranked, 2))
    comparisons = [_pair(a, b, cells, draws, seed) for a, b in pairs]
    for pair, p_holm in zip(comparisons, holm([pair["p"] for pair in comparisons]), strict=True):
        excludes_zero = pair["low"] > 0 or pair["high"] < 0
        pair["p_holm"] = p_holm
        pair["distinguishable"] = bool(p_holm < SIGNIFICANCE and excludes_zero)
    verdict = {
        "fraction": largest,
        "n_test": len(correct.ids),
        "n_seeds": min(len(cell.seeds) for cell in cells.values()),
        "leader": ranked[0][0],
        "majority_floor": correct.majority_floor,
        "strategies": [_strategy(key, cells[key], draws[key], seed) for key in ranked],
        "comparisons": comparisons,
    }
    return {**verdict, "statement": statement(verdict, runs[runs["fraction"] == largest])}


def _draws(cells: dict[Key, Cell], resamples: int, seed: int) -> dict[Key, np.ndarray]:
    """Accuracies (resamples, seeds) of every cell under the same draws of test images."""
    together = image_bootstrap(np.vstack([c.right for c in cells.values()]), resamples, seed)
    ends = np.cumsum([len(cell.seeds) for cell in cells.values()])[:-1]
    return dict(zip(cells, np.split(together, ends, axis=1), strict=True))


def _strategy(key: Key, cell: Cell, draws: np.ndarray, seed: int) -> dict:
    low, high = mean_interval(cell.right, bootstrap_mean(draws, seed))
    return {
        "strategy": key[0],
        "accuracy": float(cell.right.mean()),
        "low": low,
        "high": high,
        "wilson": [list(wilson(int(row.sum()), len(row))) for row in cell.right],
    }


def _pair(a: Key, b: Key, cells: dict[Key, Cell], draws: dict[Key, np.ndarray], seed: int) -> dict:
    """The comparison of two cells, a the better one, but for what depends on the other pairs."""
    one, two = cells[a], cells[b]
    common = sorted(set(one.seeds) & set(two.seeds))
    if common:
        rows, others = one.rows(common), two.rows(common)
        difference = one.right[rows].mean() - two.right[others].mean()
        resampled = bootstrap_mean(draws[a][:, rows] - draws[b][:, others], seed)
    else:
        difference = one.right.mean() - two.right.mean()
        resampled = bootstrap_mean(draws[a], seed, 1) - bootstrap_mean(draws[b], seed, 2)
    low, high = percentile_interval(resampled)
    return {
        "a": a[0],
        "b": b[0],
        "difference": float(difference),
        "low": low,
        "high": high,
        "p": bootstrap_p(resampled),
        "mcnemar": list(_mcnemar_by_seed(one, two, common)),
    }


def _mcnemar_by_seed(one: Cell, two: Cell, seeds: Sequence[int]) -> Iterable[dict]:
    for seed, row, other in zip(seeds, one.rows(seeds), two.rows(seeds), strict=True):
        only_a, only_b, p = mcnemar(one.right[row], two.right[other])
        yield {"seed": seed, "only_a": only_a, "only_b": only_b, "p": p}


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; train and evaluate this run first") from None


def _predictions(path: Path) -> pd.DataFrame:
    """Columns label and predicted, indexed by id and sorted by it."""
    try:
        frame = pd.read_parquet(path, columns=["id", "label", "predicted"])
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; evaluate this run first") from None
    return frame.set_index("id").sort_index()
