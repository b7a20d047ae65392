"""Figures that let a reader check the data before training: galleries, balance, sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, ScalarFormatter

from headstart.report.figures.style import (
    FAINT,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    SPLIT_COLOURS,
    Row,
    canvas,
    in_rows,
    label,
    message,
    mosaic,
    spread,
)

MOST_BARS = 40
MOST_BATCH = 32
MOST_SIZES = 10


def gallery(images: Sequence[np.ndarray], title: str, path: Path) -> None:
    """Eight views of an image, uint8 HWC, in two rows of four."""
    if not images:
        return message(path, title, "No images.")
    mosaic(path, [Row(row) for row in in_rows(images, 4)], title=title, side=190)


def class_grid(
    samples: Mapping[str, Sequence[np.ndarray]],
    path: Path,
    max_classes: int = 20,
    title: str = "Samples of each class",
) -> None:
    """Samples of each class, uint8 HWC, one row a class and at most eight a row.

    Of more than `max_classes` classes an evenly spaced selection is drawn.
    """
    if not any(samples.values()):
        return message(path, title, "No images.")
    chosen = spread(list(samples), max_classes)
    note = f"{len(chosen)} of {len(samples)} classes" if len(chosen) < len(samples) else ""
    mosaic(
        path,
        [Row(samples[name][:8], label=name) for name in chosen],
        title=title,
        note=note,
        side=130 if len(chosen) <= 6 else 92,
    )


def batch(images: Sequence[np.ndarray], labels: Sequence[str], path: Path) -> None:
    """A training batch as the network sees it, put back into uint8 HWC; 32 images at most."""
    title = "A training batch, as the network sees it"
    if not images:
        return message(path, title, "No images.")
    shown = list(images[:MOST_BATCH])
    note = f"{len(shown)} of {len(images)} images" if len(shown) < len(images) else ""
    captions = in_rows(list(labels[:MOST_BATCH]), 8)
    rows = [Row(*row) for row in zip(in_rows(shown, 8), captions, strict=True)]
    mosaic(path, rows, title=title, note=note, side=118)


def class_counts(frame: pd.DataFrame, path: Path) -> None:
    """Images of each class, stacked by split; `frame` has columns label and split, one row each.

    Beyond 40 classes the bars become a profile, the largest class first.
    """
    if frame.empty:
        return message(path, "Images of each class", "No images.")
    split = frame["split"].astype(object).where(frame["split"].notna(), "no split")
    split = split.replace("", "no split")
    counts = pd.crosstab(frame["label"].astype(str), split)
    counts = counts.reindex(columns=[name for name in SPLIT_COLOURS if name in counts])
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    wide = len(counts) > MOST_BARS
    height = 4.2 if wide else 1.5 + 0.34 * len(counts)
    with canvas(path, 8, height) as figure:
        axes = figure.subplots()
        _profile(axes, counts) if wide else _bars(axes, counts)
        axes.set_title(f"{len(frame):,} images in {len(counts)} classes", pad=26)
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, handlelength=1, borderpad=0.2
        )


def _bars(axes: Axes, counts: pd.DataFrame) -> None:
    y, left = np.arange(len(counts)), np.zeros(len(counts))
    for name in map(str, counts):
        values = counts[name].to_numpy()
        bars = axes.barh(
            y, values, 0.72, left, color=SPLIT_COLOURS[name], label=_total(counts, name)
        )
        left = left + values
    axes.bar_label(bars, [f"{total:,.0f}" for total in left], padding=4, color=INK, fontsize=9)
    axes.set_yticks(y, [label(name, 34) for name in counts.index])
    axes.set_ylim(len(counts) - 0.45, -0.55)
    axes.set_xlim(0, left.max() * 1.1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("images")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _profile(axes: Axes, counts: pd.DataFrame) -> None:
    x, bottom = np.arange(1, len(counts) + 1), np.zeros(len(counts))
    for name in map(str, counts):
        values = counts[name].to_numpy()
        axes.bar(x, values, 1.0, bottom, color=SPLIT_COLOURS[name], label=_total(counts, name))
        bottom = bottom + values
    axes.set_xlim(0.5, len(counts) + 0.5)
    axes.set_ylim(0, bottom.max() * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_ylabel("images")
    axes.set_xlabel(
        f"classes by size, from {label(counts.index[0], 28)} ({bottom[0]:,.0f}) "
        f"to {label(counts.index[-1], 28)} ({bottom[-1]:,.0f})"
    )
    axes.grid(visible=False, axis="x")


def _total(counts: pd.DataFrame, split: str) -> str:
    return f"{split}  {counts[split].sum():,}"


def image_sizes(manifest: pd.DataFrame, path: Path) -> None:
    """Widths and heights of the readable images, in pixels.

    One size is drawn to scale, a few as bubbles, many as points coloured by class where a palette
    has room for them, and thousands of images as a density.
    """
    good = manifest[manifest["status"] == "ok"]
    if good.empty:
        return message(path, "Image sizes", "No readable images.")
    sizes = good.groupby(["width", "height"]).size().sort_values(ascending=False)
    if len(sizes) == 1:
        return _one_size(int(good["width"].iloc[0]), int(good["height"].iloc[0]), len(good), path)
    with canvas(path, 7.2, 5.6) as figure:
        axes = figure.subplots()
        widths, heights = good["width"].to_numpy(float), good["height"].to_numpy(float)
        _size_axes(axes, widths, heights)
        if len(sizes) <= MOST_SIZES:
            _bubbles(axes, sizes)
        elif len(good) <= 3000:
            _size_points(axes, good)
        else:
            _density(figure, axes, widths, heights)
        axes.set_title(f"{len(good):,} images in {len(sizes):,} sizes")
        axes.set_xlabel("width (pixels)")
        axes.set_ylabel("height (pixels)")


def _one_size(width: int, height: int, count: int, path: Path) -> None:
    scale = 1.7 / max(width, height)
    with canvas(path, 7, 2.9) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set_xlim(-0.02, 5.2)
        axes.set_ylim(-0.25, 1.75)
        box = (width * scale, height * scale)
        axes.add_patch(Rectangle((0, 0), *box, facecolor=PAPER, edgecolor=PALETTE[0], lw=1.6))
        axes.text(box[0] / 2, -0.06, str(width), ha="center", va="top", color=MUTED)
        axes.text(box[0] + 0.06, box[1] / 2, str(height), va="center", color=MUTED)
        text = f"all {width} × {height}"
        axes.text(box[0] + 0.75, box[1] / 2 + 0.12, text, size=17, weight="bold", va="center")
        images = "1 image" if count == 1 else f"{count:,} images of one size, in pixels"
        axes.text(box[0] + 0.75, box[1] / 2 - 0.2, images, color=MUTED, va="center")
        axes.set_title("Image sizes")


def _size_axes(axes: Axes, widths: np.ndarray, heights: np.ndarray) -> None:
    """Equal scales with the line of square images; logarithmic where sizes differ tenfold."""
    low = min(widths.min(), heights.min())
    high = max(widths.max(), heights.max())
    if high > 10 * low:
        bounds = (low / 1.3, high * 1.3)
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = [m * 10**k for k in range(6) for m in (1, 2, 5)]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator([t for t in ticks if bounds[0] < t < bounds[1]]))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
    else:
        pad = 0.12 * (high - low) + 1
        bounds = (max(0, low - pad), high + pad)
    axes.set_xlim(*bounds)
    axes.set_ylim(*bounds)
    axes.set_aspect("equal")
    axes.plot(bounds, bounds, ls="--", lw=1, color=MUTED, zorder=0.5)


def _bubbles(axes: Axes, sizes: pd.Series) -> None:
    for width, height, count in sizes.reset_index().itertuples(index=False):
        area = 40 + 700 * count / sizes.max()
        axes.scatter(width, height, area, color=PALETTE[0], alpha=0.45, edgecolor="white")
        text = f"{width:.0f} × {height:.0f}\n{count:,}"
        offset = (area**0.5 / 2 + 4, 0)
        style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(text, (width, height), offset, **style)


def _size_points(axes: Axes, good: pd.DataFrame) -> None:
    names = sorted(good["label"].unique())
    if not 1 < len(names) <= len(PALETTE):
        axes.scatter(good["width"], good["height"], 14, color=PALETTE[0], alpha=0.35, lw=0)
        return
    colours = dict(zip(names, PALETTE, strict=False))
    mixed = good.sample(frac=1, random_state=0)
    axes.scatter(
        mixed["width"], mixed["height"], 14, c=mixed["label"].map(colours).tolist(), alpha=0.5, lw=0
    )
    handles = [axes.scatter([], [], 24, color=colours[name]) for name in names]
    axes.legend(
        handles, [label(name, 24) for name in names], loc="upper left", bbox_to_anchor=(1, 1)
    )


def _density(figure: Figure, axes: Axes, widths: np.ndarray, heights: np.ndarray) -> None:
    scale: Any = axes.get_xscale()
    bounds = axes.get_xlim()
    extent = 2 * tuple(np.log10(bounds) if scale == "log" else bounds)
    hexes = axes.hexbin(
        widths,
        heights,
        gridsize=(45, 26),
        extent=extent,
        xscale=scale,
        yscale=scale,
        bins="log",
        mincnt=1,
        cmap="Blues",
        linewidths=0.2,
        edgecolors=FAINT,
    )
    hexes.set_clim(vmin=0.4)
    axes.set_xlim(*bounds)
    axes.set_ylim(*bounds)
    figure.colorbar(hexes, ax=axes, shrink=0.7, label="images", format="{x:,.0f}")
