"""The tables of a comparison: runs.csv, a row per run, and summary.csv, a row per strategy."""

from collections.abc import Sequence

import pandas as pd

from headstart import provenance
from headstart.verdict.inference import mean
from headstart.verdict.reading import Result
from headstart.verdict.scores import Study

_METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"]
RUN_COLUMNS = [
    "strategy",
    "fraction",
    "split",
    "seed",
    "trials",
    "device_seconds",
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
    "derived",
]


def runs_table(results: Sequence[Result]) -> pd.DataFrame:
    """One row per run, the columns of runs.csv.

    Rows are sorted by strategy in the order of `results`, fraction, split and seed.
    """
    rows = []
    for result in results:
        values = {name: metric["value"] for name, metric in result.metrics["metrics"].items()}
        row = {"derived": "", **result.run, **values, "n_test": result.metrics["n_test"]}
        row |= {"split": result.split, "device_seconds": provenance.device_seconds(result.run)}
        rows.append({name: row[name] for name in RUN_COLUMNS})
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    order = {name: rank for rank, name in enumerate(runs["strategy"].unique())}
    return runs.sort_values(
        ["strategy", "fraction", "split", "seed"],
        key=lambda column: column.map(order) if column.name == "strategy" else column,
        ignore_index=True,
    )


def seconds(runs: pd.DataFrame) -> dict[str, float]:
    """What a run of each strategy costs on average, in device seconds, by the strategy's name."""
    spent = runs["device_seconds"].groupby(runs["strategy"])
    return {str(name): float(mean) for name, mean in spent.mean().items()}


def summary_table(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row per strategy and fraction, the columns of summary.csv.

    Accuracy is the mean over all images and runs; the other metrics and times are means over
    runs, memory is the largest. The standard deviation over runs
    (ddof 1) is empty with a single one.

    Args:
        runs: from `runs_table`.
        study: the right-or-wrong scores of the same runs.
    """
    rows = []
    for (strategy, fraction), group in runs.groupby(["strategy", "fraction"], sort=False):
        key = (str(strategy), float(str(fraction)))
        accuracy = mean(study, key)
        costs = ["device_seconds", "train_seconds", "feature_seconds", "images_per_second"]
        means = group[[*_METRICS, *costs]].mean()
        rows.append(
            {
                "strategy": strategy,
                "fraction": fraction,
                "derived": group["derived"].iloc[0],
                "runs": len(group),
                "trials": group["trials"].max(),
                "splits": group["split"].nunique(),
                "seeds": group["seed"].nunique(),
                "n_test": study.tested(key),
                "accuracy": accuracy.value,
                "accuracy_low": accuracy.low,
                "accuracy_high": accuracy.high,
                "accuracy_sd": group["accuracy"].std(ddof=1),
                **means.drop("accuracy"),
                "peak_memory_bytes": group["peak_memory_bytes"].max(),
                "trainable_parameters": group["trainable_parameters"].max(),
                "epochs": group["epochs"].max(),
            }
        )
    return pd.DataFrame(rows)
