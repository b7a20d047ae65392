"""Figures of one run: how it learned, where it errs, and how far its confidence can be trusted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest

from headstart.data.cache import ImageCache
from headstart.report.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    PALETTE,
    Row,
    canvas,
    epoch_axis,
    in_rows,
    label,
    message,
    mosaic,
    percent,
    percent_axis,
)
from headstart.verdict import mistakes

MOST_WRITTEN = 30
MOST_NAMED = 60
MOST_MISTAKES = 24
WORST = 12
BINS = 15


def tested(
    predictions: pd.DataFrame, metrics: dict[str, Any], cache: ImageCache, folder: Path
) -> None:
    """Draw how a run did on test: confusion.png, reliability.png and mistakes.png.

    Args:
        predictions: in the format of predictions.parquet.
        metrics: as in metrics.json.
        cache: has the test images.
    """
    worst = mistakes.worst(predictions, WORST)
    pictures = [cache[int(row)] for row in cache.positions(list(worst.id))]
    rows = zip(pictures, worst.label, worst.predicted, worst.confidence, strict=True)
    ece = metrics["metrics"]["ece"]["value"]
    confusion(np.array(metrics["confusion"]), metrics["classes"], folder / "confusion.png")
    reliability(predictions, ece, folder / "reliability.png")
    worst_mistakes(list(rows), folder / "mistakes.png")


def confusion(confusion: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """A confusion matrix, int (classes, classes), rows true and columns predicted.

    Colour is the share of the true class, the numbers are images. Beyond 30 classes the numbers
    give way to a list of the most frequent mistakes.
    """
    counts = np.asarray(confusion)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0)
    n = len(classes)
    side = min(max(2.6, 0.55 * n), 8.5)
    with canvas(path, side + (5.0 if n > MOST_WRITTEN else 3.2), side + 1.6) as figure:
        if n > MOST_WRITTEN:
            axes, listing = figure.subplots(1, 2, width_ratios=(side, 2.6))
            _frequent_mistakes(listing, counts, classes)
        else:
            axes = figure.subplots()
        axes.grid(visible=False)
        palette = colormaps["Blues"].with_extremes(bad=FAINT)
        cells = axes.imshow(shares, cmap=palette, vmin=0, vmax=1)
        bar = figure.colorbar(
            cells, ax=axes, shrink=0.75, pad=0.03, label="share of the true class"
        )
        bar.outline.set_visible(False)
        axes.set_anchor("NW")
        percent_axis(bar.ax, "y")
        _class_ticks(axes, classes)
        if n <= MOST_WRITTEN:
            _write_counts(axes, counts, shares)
        axes.set_title(_right_of(counts))
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")


def _right_of(counts: np.ndarray) -> str:
    total, right = int(counts.sum()), int(np.trace(counts))
    return f"{right:,} of {total:,} test images right"


def _class_ticks(axes: Axes, classes: Sequence[str]) -> None:
    n = len(classes)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if n > MOST_NAMED:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.tick_params(length=3)
        return
    names = [label(name, 22) for name in classes]
    size = 9 if n <= 20 else 8 if n <= MOST_WRITTEN else 6.5
    short = n <= 6 and max(map(len, names)) <= 12
    axes.set_yticks(range(n), names, fontsize=size)
    if short:
        axes.set_xticks(range(n), names, fontsize=size)
    else:
        axes.set_xticks(range(n), names, fontsize=size, rotation=90)
        if n <= 20:
            axes.tick_params(axis="x", labelrotation=55)
            for name in axes.get_xticklabels():
                name.set(ha="right", rotation_mode="anchor")


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    n = len(counts)
    size = 12 if n <= 4 else 10 if n <= 10 else 8 if n <= 20 else 6.5
    for (row, column), count in np.ndenumerate(counts):
        if count == 0 and n > 10:
            continue
        share = shares[row, column]
        text = f"{count:,}"
        if n <= 4 and not np.isnan(share):
            text += f"\n{percent(float(share))}"
        colour = MUTED if count == 0 else "white" if share > 0.55 else INK
        axes.text(column, row, text, ha="center", va="center", size=size, color=colour)


def _frequent_mistakes(axes: Axes, counts: np.ndarray, classes: Sequence[str]) -> None:
    axes.set_axis_off()
    axes.set_title("Most frequent mistakes")
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:12]
    for i, flat in enumerate(order):
        row, column = divmod(int(flat), len(classes))
        if wrong[row, column] == 0:
            break
        y = 1 - i * 0.08
        style: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "fontsize": 8.5}
        axes.text(0.08, y, f"{wrong[row, column]}", ha="right", weight="bold", **style)
        axes.text(0.14, y, label(classes[row], 27), **style)
        axes.text(0.14, y - 0.032, f"→ {label(classes[column], 25)}", color=MUTED, **style)
    if not wrong.any():
        axes.text(0, 1, "none", transform=axes.transAxes, va="top", color=MUTED)


def reliability(predictions: pd.DataFrame, ece: float, path: Path) -> None:
    """Accuracy against confidence in 15 bins of equal width, and how often each occurs.

    `predictions` has columns label, predicted and one `p:<class>` per class. Whiskers are 95 %
    Wilson intervals; a point below the diagonal is overconfident.
    Source: Guo et al. 2017, On calibration of modern neural networks.
    """
    if predictions.empty:
        return message(path, "Reliability", "No predictions.")
    columns = [name for name in predictions if str(name).startswith("p:")]
    confidence = predictions[columns].to_numpy(float).max(axis=1)
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    edges = np.linspace(0, 1, BINS + 1)
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    floor = edges[np.searchsorted(edges, 1 / max(len(columns), 1), side="right") - 1]
    floor = float(min(floor, edges[place.min()]))
    with canvas(path, 5.4, 5.8) as figure:
        top, bottom = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
        top.plot([0, 1], [0, 1], ls="--", lw=1, color=MUTED, label="perfectly calibrated")
        lowest = floor
        for i in np.unique(place):
            low = _reliability_bin(top, confidence[place == i], right[place == i])
            lowest = min(lowest, low)
        top.set_title(f"Expected calibration error {ece:.3f}")
        top.set_ylabel("share right")
        top.set_ylim(lowest - 0.03, 1.03)
        top.legend(loc="lower right")
        percent_axis(top, "y")
        _confidences(bottom, confidence, right, edges)
        bottom.set_xlim(floor - 0.02, 1.02)
        percent_axis(bottom, "x")


def _reliability_bin(axes: Axes, confidence: np.ndarray, right: np.ndarray) -> float:
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    x = confidence.mean()
    axes.plot([x, x], [interval.low, interval.high], color=PALETTE[0], lw=1.2, alpha=0.6)
    axes.plot(x, right.mean(), "o", ms=6, color=PALETTE[0], mec="white", mew=0.8)
    return float(interval.low)


def _confidences(axes: Axes, confidence: np.ndarray, right: np.ndarray, edges: np.ndarray) -> None:
    axes.hist(
        [confidence[right], confidence[~right]],
        bins=list(edges),
        stacked=True,
        rwidth=0.9,
        color=[PALETTE[0], ACCENT],
        label=["right", "wrong"],
    )
    axes.legend(loc="upper left", ncols=2, handlelength=1)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_ylabel("images")
    axes.set_xlabel("confidence: probability of the predicted class")


def worst_mistakes(rows: Sequence[tuple[np.ndarray, str, str, float]], path: Path) -> None:
    """The most confident mistakes: (uint8 HWC image, true, predicted, probability); 24 at most."""
    title = "Most confident mistakes"
    if not rows:
        return message(path, title, "No mistakes on the test images.")
    worst = sorted(rows, key=lambda row: -row[3])[:MOST_MISTAKES]
    captions = [
        f"{percent(probability, 0)} {predicted}\nis {true}"
        for _, true, predicted, probability in worst
    ]
    pictures = in_rows([row[0] for row in worst], 6)
    mosaic(
        path,
        [Row(*row) for row in zip(pictures, in_rows(captions, 6), strict=True)],
        title=title,
        note="First line: what the model said and how sure it was. Second line: the label.",
        side=146,
    )


def curves(history: pd.DataFrame, path: Path, best_epoch: int | None = None) -> None:
    """Loss and accuracy on train and val by epoch, the best epoch and phase changes marked.

    `history` has the columns of history.csv; `best_epoch` is 1-based, by default the first with
    the highest validation accuracy.
    """
    if history.empty:
        return message(path, "Training curves", "No epochs.")
    if best_epoch is None:
        accuracy = history["val_accuracy"].fillna(-1)
        best_epoch = int(history["epoch"].to_numpy()[accuracy.to_numpy().argmax()])
    with canvas(path, 9, 3.7) as figure:
        loss, accuracy_axes = figure.subplots(1, 2)
        _curve(loss, history, "loss", best_epoch)
        _curve(accuracy_axes, history, "accuracy", best_epoch)
        percent_axis(accuracy_axes, "y")
        _legend(figure, loss, best_epoch)


def _curve(axes: Axes, history: pd.DataFrame, what: str, best_epoch: int) -> None:
    epochs = history["epoch"].to_numpy()
    few = len(epochs) <= 20
    for part, colour, line in (("train", MUTED, "--"), ("val", PALETTE[0], "-")):
        values = history[f"{part}_{what}"].to_numpy(float)
        marker: dict[str, Any] = {"marker": "o", "ms": 4} if few else {}
        axes.plot(epochs, values, ls=line, color=colour, label=part, **marker)
    best = history.loc[history["epoch"] == best_epoch, f"val_{what}"]
    axes.axvline(best_epoch, color=ACCENT, lw=1, alpha=0.5, zorder=0.9)
    axes.plot(
        [best_epoch] * len(best),
        best,
        "o",
        ms=7,
        mfc="white",
        mec=ACCENT,
        mew=1.8,
        label="best epoch",
        zorder=5,
    )
    phases = history["phase"].to_numpy() if "phase" in history else np.zeros(len(epochs))
    for i in np.flatnonzero(np.diff(phases)):
        axes.axvline((epochs[i] + epochs[i + 1]) / 2, color=MUTED, lw=1, ls=":")
    axes.set_title(what.capitalize())
    pad = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - pad, epochs[-1] + pad)
    epoch_axis(axes)
    finite = history[f"val_{what}"].notna().any() or history[f"train_{what}"].notna().any()
    if not finite:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not finite", transform=axes.transAxes, ha="center", color=MUTED)


def _legend(figure: Figure, axes: Axes, best_epoch: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    names[-1] = f"best epoch ({best_epoch})"
    figure.legend(handles, names, loc="outside upper right", ncols=3)
