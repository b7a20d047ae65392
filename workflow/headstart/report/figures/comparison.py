"""Figures that compare strategies over all seeds: what the verdict rests on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from headstart.report.figures.labels import place_labels
from headstart.report.figures.style import (
    MUTED,
    Look,
    canvas,
    epoch_axis,
    label,
    looks,
    message,
    percent,
    percent_axis,
)

Run = tuple[str, float, tuple[int, int]]
SECONDS = {
    0.01: "10 ms",
    0.1: "0.1 s",
    1: "1 s",
    3: "3 s",
    10: "10 s",
    30: "30 s",
    60: "1 min",
    180: "3 min",
    600: "10 min",
    1800: "30 min",
    3600: "1 h",
    10800: "3 h",
    36000: "10 h",
    86400: "1 d",
    259200: "3 d",
    864000: "10 d",
    8640000: "100 d",
}


def accuracy(
    runs: pd.DataFrame, summary: pd.DataFrame, verdict: Mapping[str, Any], path: Path
) -> None:
    """Test accuracy of every seed, the mean with its interval, and the majority floor.

    `runs` and `summary` are the tables of comparison/; rows of the verdict's fraction are drawn,
    the best strategy on top.
    """
    fraction = verdict["fraction"]
    means = summary[np.isclose(summary["fraction"], fraction)]
    means = means.sort_values("accuracy", ascending=False, kind="stable")
    seeds = runs[np.isclose(runs["fraction"], fraction)]
    styles = looks(summary["strategy"])
    with canvas(path, 8.4, 1.7 + 0.62 * len(means)) as figure:
        axes = figure.subplots()
        for y, row in enumerate(means.itertuples()):
            values = seeds.loc[seeds["strategy"] == row.strategy, "accuracy"]
            _accuracy_row(axes, y, row, values.to_numpy(float), styles[str(row.strategy)])
        axes.set_yticks(range(len(means)), [label(name, 28) for name in means["strategy"]])
        axes.set_ylim(len(means) - 0.35, -0.6)
        _majority_floor(axes, verdict["majority_floor"], means, seeds["accuracy"])
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelsize=10)
        axes.spines["left"].set_visible(False)
        percent_axis(axes, "x")
        figure.supxlabel(
            "test accuracy: mean and 95 % interval above, one point per run below", fontsize=9.5
        )
        axes.set_title(f"Accuracy on {verdict['n_test']:,} test images")


def _accuracy_row(axes: Axes, y: float, row: Any, seeds: np.ndarray, look: Look) -> None:
    axes.plot(
        [row.accuracy_low, row.accuracy_high],
        [y, y],
        color=look.colour,
        lw=3,
        alpha=0.45,
        solid_capstyle="round",
    )
    axes.plot(row.accuracy, y, look.marker, ms=9, color=look.colour, mec="white")
    axes.plot(seeds, np.full(len(seeds), y + 0.27), "o", ms=4.5, mfc="none", mec=look.colour)
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "color": look.colour, "weight": "bold"}
    axes.annotate(
        percent(row.accuracy), (row.accuracy, y), (0, 7), textcoords="offset points", **style
    )


def _majority_floor(axes: Axes, floor: float, means: pd.DataFrame, seeds: pd.Series) -> None:
    """A line at the floor, or a note at the edge where it lies too far away."""
    low = min(means["accuracy_low"].min(), seeds.min())
    high = max(means["accuracy_high"].max(), seeds.max())
    span = max(high - low, 0.02)
    text = f"majority floor {percent(floor)}"
    style: dict[str, Any] = {"color": MUTED, "fontsize": 8.5, "va": "bottom"}
    if low - floor > 2.5 * span:
        axes.set_xlim(low - 0.12 * span, high + 0.1 * span)
        axes.annotate(
            f"← {text}",
            (0, 0),
            (4, 4),
            textcoords="offset points",
            xycoords="axes fraction",
            ha="left",
            **style,
        )
        return
    left, right = min(low, floor), max(high, floor)
    axes.set_xlim(left - 0.06 * (right - left), right + 0.08 * (right - left))
    axes.axvline(floor, ls="--", lw=1.2, color=MUTED)
    left_half = floor < (left + right) / 2
    axes.annotate(
        text,
        (floor, 0),
        (4 if left_half else -4, 4),
        textcoords="offset points",
        xycoords=("data", "axes fraction"),
        ha="left" if left_half else "right",
        **style,
    )


def curves(histories: Mapping[Run, pd.DataFrame], path: Path) -> None:
    """Validation accuracy by epoch, one panel per strategy, one thin line per seed.

    `histories` maps (strategy, fraction, (split, seed)) to a history.csv frame. Smaller
    fractions are paler.
    """
    if not histories:
        return message(path, "Validation accuracy", "No runs.")
    styles = looks(key[0] for key in histories)
    fractions = sorted({key[1] for key in histories}, reverse=True)
    columns = min(len(styles), 3)
    rows = -(-len(styles) // columns)
    with canvas(path, max(5, 3.3 * columns), 0.5 + 2.9 * rows) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(styles) :]:
            axes.set_axis_off()
        for axes, (name, look) in zip(grid.flat, styles.items(), strict=False):
            mine = {key: frame for key, frame in histories.items() if key[0] == name}
            _seed_lines(axes, mine, fractions, look)
            axes.set_title(label(name, 26), color=look.colour)
        percent_axis(grid[0, 0], "y")
        figure.supylabel("validation accuracy", fontsize=9.5)


def _seed_lines(
    axes: Axes,
    histories: Mapping[Run, pd.DataFrame],
    fractions: Sequence[float],
    look: Look,
) -> None:
    named: set[float] = set()
    for (_, fraction, _), history in sorted(histories.items(), key=lambda item: item[0]):
        few = len(history) <= 20
        axes.plot(
            history["epoch"],
            history["val_accuracy"],
            lw=1.3,
            marker="o" if few else "",
            ms=3,
            color=_paler(look.colour, fractions.index(fraction) / len(fractions)),
            label=f"{percent(fraction, 0)} of train" if fraction not in named else "_",
        )
        named.add(fraction)
    epoch_axis(axes)
    if len(fractions) > 1:
        axes.legend(loc="lower right", fontsize=7.5, reverse=True)


def _paler(colour: str, amount: float) -> tuple[float, float, float]:
    red, green, blue = (1 - (1 - c) * (1 - 0.8 * amount) for c in to_rgb(colour))
    return red, green, blue


def cost(runs: pd.DataFrame, summary: pd.DataFrame, path: Path) -> None:
    """Test accuracy against training plus feature time, in seconds on a log scale.

    Small points are runs, large ones the means with their intervals; the fractions of a strategy
    are joined by a line, and the largest carries its name.
    """
    styles = looks(summary["strategy"])
    whole = summary["fraction"].max()
    points, texts, colours = [], [], []
    with canvas(path, 8, 5) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        _time_ticks(axes, np.concatenate([_spent(runs), _spent(summary)]))
        axes.scatter(
            _spent(runs),
            runs["accuracy"],
            18,
            facecolor="white",
            zorder=3,
            edgecolor=[styles[name].colour for name in runs["strategy"]],
        )
        for name, group in summary.sort_values("fraction").groupby("strategy"):
            look, x = styles[str(name)], _spent(group)
            axes.plot(x, group["accuracy"], color=look.colour, lw=1, alpha=0.5)
            axes.vlines(x, group["accuracy_low"], group["accuracy_high"], color=look.colour, lw=1.6)
            axes.plot(x, group["accuracy"], look.marker, ms=9, color=look.colour, mec="white")
            for row, seconds in zip(group.itertuples(), x, strict=True):
                points.append((seconds, float(row.accuracy)))  # type: ignore[arg-type]
                fraction = float(row.fraction)  # type: ignore[arg-type]
                texts.append(label(name, 24) if fraction == whole else percent(fraction, 0))
                colours.append(look.colour)
        axes.set_title("What the accuracy costs")
        axes.set_ylabel("test accuracy")
        axes.set_xlabel("device time: features, tuning and training (log scale)")
        percent_axis(axes, "y")
        place_labels(figure, axes, points, texts, colours)


def _spent(frame: pd.DataFrame) -> np.ndarray:
    return frame["device_seconds"].clip(lower=0.01).to_numpy(float)


def _time_ticks(axes: Axes, seconds: np.ndarray) -> None:
    low, high = seconds.min() / 1.9, seconds.max() * 2.6
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([s for s in SECONDS if low <= s <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: SECONDS.get(s, f"{s:g} s")))
    axes.xaxis.set_minor_locator(NullLocator())


def learning_curve(summary: pd.DataFrame, path: Path) -> None:
    """Test accuracy with its interval by fraction of the training split, one line per strategy."""
    styles = looks(summary["strategy"])
    fractions = sorted(summary["fraction"].unique())
    with canvas(path, 8, 4.6) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        for i, (name, look) in enumerate(styles.items()):
            rows = summary[summary["strategy"] == name].sort_values("fraction")
            x = rows["fraction"] * 1.015 ** (i - (len(styles) - 1) / 2)
            axes.vlines(x, rows["accuracy_low"], rows["accuracy_high"], color=look.colour, lw=1.4)
            axes.plot(
                x,
                rows["accuracy"],
                marker=look.marker,
                ms=7,
                mec="white",
                color=look.colour,
                label=label(name, 26),
            )
        axes.xaxis.set_major_locator(FixedLocator(fractions))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}\u00a0%"))
        axes.xaxis.set_minor_locator(NullLocator())
        percent_axis(axes, "y")
        axes.set_xlabel("share of the training split (log scale)")
        axes.set_ylabel("test accuracy, 95 % interval")
        axes.set_title("Accuracy by amount of training data")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
