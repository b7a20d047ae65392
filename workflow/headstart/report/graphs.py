"""The report's charts, each from the study's own records."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.stats import binomtest

from headstart.provenance import DEVICE_SECONDS
from headstart.report import charts
from headstart.report.formats import duration, number, percent, points
from headstart.report.listing import ACCURACY, setting
from headstart.report.study import Run, Study
from headstart.report.tables import Record, records
from headstart.verdict.phrases import writer

BINS = 10
MOST_PAIRS = 10
SHARES = ("accuracy", "balanced_accuracy")
#: What device time was spent on, in the order of the keys of run.json.
SPENT_ON = ("training", "features", "tuning")


def means(study: Study) -> Markup:
    """The first screen's picture: every strategy's mean, its interval, its runs, and the floor."""
    verdict = study.verdict
    metric, write = verdict["metric"], writer(dict(verdict))
    rows = [
        charts.Row(
            one["strategy"]
            + (", recommended" if one["strategy"] == verdict["recommended"] else ""),
            one["mean"],
            one["low"],
            one["high"],
            f"{write(one['mean'])} ({write(one['low'])} to {write(one['high'])})",
            one["strategy"],
            [_seed(run, metric, write) for run in study.compared[one["strategy"]]],
        )
        for one in verdict["strategies"]
    ]
    floor = verdict["floor"]
    lines = [(floor["value"], f"most frequent class, {write(floor['value'])}")] if floor else []
    tick = _tick(metric)
    name = f"{verdict['metric_name'].capitalize()} on test by strategy, with 95 % intervals"
    return charts.dots(rows, tick, name, lines)


def _tick(metric: str) -> charts.Write:
    return (lambda v: f"{100 * v:.4g}\u00a0%") if metric in SHARES else (lambda v: f"{v:.4g}")


def _seed(run: Run, metric: str, write: charts.Write) -> charts.Seed:
    split, seed = run.place
    value = run.metrics["metrics"][metric]["value"]
    place = f"split {split}, seed {seed}"
    return charts.Seed(str(seed), value, f"{run.strategy}, {place}: {write(value)}")


def differences(study: Study, verdict: Mapping[str, Any]) -> Markup:
    """Differences with their intervals about the margin; of many pairs those of the leader.

    Intervals of few seeds may go beyond what a difference can be; they end there.
    """
    pairs = verdict["comparisons"]
    if len(pairs) > MOST_PAIRS:
        pairs = [pair for pair in pairs if pair["a"] == verdict["leader"]]
    rows = [
        charts.Row(
            f"{pair['a']} − {pair['b']}",
            _bounded(pair["difference"]),
            _bounded(pair["low"]),
            _bounded(pair["high"]),
            f"{points(pair['difference'])} points: {pair['answer']}",
        )
        for pair in pairs
    ]
    name = f"Differences in points of {study.verdict['metric_name']}"
    return charts.dots(rows, _signed, name, [(0, "")], study.verdict["margin"])


def _bounded(difference: float) -> float:
    return max(-100.0, min(100.0, 100 * difference))


def _signed(value: float) -> str:
    return f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0"


def costs(study: Study) -> Markup:
    """Device seconds of a run, by what they were spent on."""
    rows, parts = [], []
    for name, runs in study.compared.items():
        spent = [float(np.mean([run.made_by[key] for run in runs])) for key in DEVICE_SECONDS]
        total = sum(spent)
        rows.append(charts.Row(name, total, total, total, duration(total), name))
        told = zip(spent, SPENT_ON, strict=True)
        parts.append([(s, f"{name}, {what}: {duration(s)}") for s, what in told])
    return charts.bars(rows, parts, "Device time of a run by strategy")


def validation(study: Study) -> Markup:
    """Validation accuracy by epoch of every run compared; nothing where none was validated."""
    lines = [line for runs in study.compared.values() for run in runs for line in _epochs(run)]
    if not lines:
        return Markup()
    last = int(max(line.points[-1][0] for line in lines))
    step = max(1, round(last / 6))
    ticks = [(float(e), str(e)) for e in range(1, last + 1) if e == 1 or e % step == 0]
    axis = (_tick("accuracy"), "validation accuracy by epoch")
    return charts.curves(lines, ticks, axis, "Validation accuracy by epoch")


def _epochs(run: Run) -> list[charts.Line]:
    """The line of one run, if it has epochs that were validated."""
    history = run.history()
    if history is None or history["val_accuracy"].isna().all():
        return []
    split, seed = run.place
    told = f"{run.strategy}, split {split}, seed {seed}, epoch"
    drawn = [
        (float(epoch), float(share), f"{told} {epoch}: {percent(share)}")
        for epoch, share in zip(history["epoch"], history["val_accuracy"], strict=True)
    ]
    return [charts.Line(run.strategy, str(seed), drawn)]


def reliability(predictions: pd.DataFrame, strategy: str) -> Markup:
    """Share of right answers by confidence, in ten bins, with 95 % Wilson intervals.

    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    sure = predictions.filter(like="p:").to_numpy(float).max(axis=1)
    place = np.clip((sure * BINS).astype(int), 0, BINS - 1)
    drawn, ends = [], []
    for one in np.unique(place):
        inside = place == one
        share, n = right[inside].mean(), int(inside.sum())
        interval = binomtest(int(right[inside].sum()), n).proportion_ci(method="wilson")
        mean = float(sure[inside].mean())
        told = f"{n:,} answers {percent(mean, 0)} sure: {percent(share, 0)} right"
        drawn.append((mean, float(share), told))
        ends.append((float(interval.low), float(interval.high)))
    ticks = [
        (share, percent(share, 0)) for share in (0.25, 0.5, 0.75, 1.0) if share > min(sure) - 0.1
    ]
    name = f"Reliability of {strategy}"
    line = charts.Line(strategy, "", drawn, ends)
    axis = (_tick("accuracy"), "share right by confidence")
    return charts.curves([line], ticks, axis, name, diagonal=True)


def learning_curve(study: Study) -> Markup:
    """Test accuracy by the share of the training images, spread evenly over the page."""
    fractions = study.fractions
    lines = []
    groups = study.summary.sort_values("fraction").groupby("strategy", sort=False)
    for place, (name, group) in enumerate(groups):
        rows = records(group)
        beside = 0.015 * (len(fractions) - 1) * (place - (len(groups) - 1) / 2)
        drawn = [
            (
                fractions.index(row["fraction"]) + beside,
                row["accuracy"],
                f"{name}, {percent(row['fraction'], 0)} of the training images: {_reached(row)}",
            )
            for row in rows
        ]
        ends = [(row["accuracy_low"], row["accuracy_high"]) for row in rows]
        lines.append(charts.Line(str(name), "", drawn, ends))
    ticks = [(float(i), percent(share, 0)) for i, share in enumerate(fractions)]
    axis = (_tick("accuracy"), "test accuracy by share of the training images")
    return charts.curves(lines, ticks, axis, "Learning curve")


def _reached(row: Record) -> str:
    return f"{percent(row['accuracy'])} ({ACCURACY.interval(row)})"


def at_fractions(study: Study) -> list[dict[str, Any]]:
    """The strategies' accuracies at each fraction, on one axis for all, smallest first."""
    within = (study.summary["accuracy_low"].min(), study.summary["accuracy_high"].max())
    found = []
    for fraction in study.fractions:
        rows = [
            charts.Row(
                row["strategy"],
                row["accuracy"],
                row["accuracy_low"],
                row["accuracy_high"],
                _reached(row),
                row["strategy"],
            )
            for row in records(study.summary_at(fraction))
        ]
        name = f"Test accuracy with {percent(fraction, 0)} of the training images"
        chart = charts.dots(rows, _tick("accuracy"), name, within=within)
        found.append({"fraction": fraction, "chart": chart})
    return found


def tuning(choice: Mapping[str, Any]) -> Markup:
    """Validation loss of each trial of a choice, the least first; the one that trained is named."""
    strategy, rows = choice["place"]["strategy"], []
    chosen = choice["trials"][choice["chosen"]]
    for trial in sorted(choice["trials"], key=lambda trial: float(trial["val_loss"])):
        name, loss = setting(trial) + (", chosen" if trial is chosen else ""), trial["val_loss"]
        text = f"{number(loss)}, {percent(trial['val_accuracy'])} right"
        rows.append(charts.Row(name, loss, loss, loss, text, strategy))
    return charts.dots(rows, lambda v: f"{v:.4g}", f"Validation loss by trial of {strategy}")


def shortcuts(floor: Mapping[str, Any], majority: float) -> Markup:
    """Accuracy of classifiers that see no picture, beside that of the most frequent class."""
    values = {"most frequent class": majority, "all together": floor["accuracy"], **floor["alone"]}
    rows = [charts.Row(name, v, v, v, percent(v)) for name, v in values.items()]
    parts = [[(v, f"{name}: {percent(v)}")] for name, v in values.items()]
    return charts.bars(rows, parts, "Accuracy without a look at the pictures")
