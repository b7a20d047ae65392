"""What a model sees in a few images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from headstart.report.figures.style import (
    FAINT,
    MUTED,
    PALETTE,
    canvas,
    label,
    percent,
    percent_axis,
)

MOST_ROWS = 12


def predictions(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    likely: Sequence[Sequence[tuple[str, float]]],
    title: str,
    path: Path,
) -> None:
    """A row per image: the image on the left, its most probable classes as bars on the right.

    Args:
        images: uint8 HWC, at most MOST_ROWS of them.
        names: what to write above each image.
        likely: (class, probability) pairs of each image, best first.
    """
    most = max(map(len, likely))
    height = max(1.7, 0.3 * most + 0.6)
    with canvas(path, 9, height * len(images) + 0.6) as figure:
        figure.suptitle(label(title, 90), x=0.015, ha="left", weight="bold", size=11)
        rows = figure.subplots(
            len(images), 2, width_ratios=(1, 2.6), squeeze=False, sharex="col", sharey=False
        )
        for (left, right), image, name, pairs in zip(rows, images, names, likely, strict=True):
            left.imshow(image)
            left.set_axis_off()
            left.set_anchor("W")
            left.set_title(label(name, 34), size=8.5, weight="normal", color=MUTED, pad=4)
            _bars(right, pairs, most)
        percent_axis(rows[-1][1], "x")
        rows[-1][1].set_xlabel("probability")


def _bars(axes: Axes, pairs: Sequence[tuple[str, float]], most: int) -> None:
    shares = [share for _, share in pairs]
    axes.barh(range(len(pairs)), shares, height=0.66, color=[PALETTE[0]] + [PALETTE[5]] * most)
    axes.set_yticks(range(len(pairs)), [label(name, 38) for name, _ in pairs])
    axes.set(xlim=(0, 1.12), ylim=(most - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(FAINT)
    for row, share in enumerate(shares):
        axes.text(share + 0.012, row, percent(share), va="center", size=8.5)
