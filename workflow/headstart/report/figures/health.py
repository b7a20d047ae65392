"""Figures of what is doubtful in the data: labels, copies, and what gives a label away."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.report.figures.style import (
    ACCENT,
    MUTED,
    PALETTE,
    Row,
    canvas,
    in_rows,
    label,
    message,
    mosaic,
    percent,
    percent_axis,
)

#: An image and its like, uint8 HWC, and the captions of both.
Pair = tuple[np.ndarray, np.ndarray, str, str]
MOST_SUSPECTS = 24
MOST_PAIRS = 12


def suspects(rows: Sequence[tuple[np.ndarray, str, str, float]], total: int, path: Path) -> None:
    """The surest of `total` images with doubtful labels: (uint8 HWC, label, believed, share)."""
    title = "Labels that every probe contradicts"
    if not rows:
        return message(path, title, "None.")
    captions = [f"is labelled {own}\n{percent(p, 0)} {other}" for _, own, other, p in rows]
    pictures = in_rows([row[0] for row in rows], 6)
    more = f" The {len(rows)} surest of {total:,}." if total > len(rows) else ""
    mosaic(
        path,
        [Row(*row) for row in zip(pictures, in_rows(captions, 6), strict=True)],
        title=title,
        note=f"The label, and what probes that never saw it believe.{more}",
        side=146,
    )


def copies(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, str, str]], total: int, path: Path
) -> None:
    """Pairs of pictures that look alike: (image, other image, caption, other caption)."""
    title = "Pictures that look alike"
    if not pairs:
        return message(path, title, "None.")
    images = [picture for one, other, _, _ in pairs for picture in (one, other)]
    captions = [text for _, _, one, other in pairs for text in (one, other)]
    note = f"{len(pairs)} of {total:,} pairs." if total > len(pairs) else ""
    rows = zip(in_rows(images, 6), in_rows(captions, 6), strict=True)
    mosaic(path, [Row(*row) for row in rows], title=title, note=note, side=146)


def shortcuts(floor: Mapping[str, Any], majority: float, path: Path) -> None:
    """Accuracy of classifiers that see no picture: each trait alone, and all together."""
    names = ["all together", *floor["alone"]]
    values = [floor["accuracy"], *floor["alone"].values()]
    with canvas(path, 8, 1.4 + 0.36 * len(names)) as figure:
        axes = figure.subplots()
        colours = [ACCENT] + [PALETTE[0]] * len(floor["alone"])
        axes.barh(range(len(names)), values, 0.62, color=colours)
        for row, value in enumerate(values):
            axes.text(value + 0.01, row, percent(value), va="center", size=8.5)
        axes.axvline(majority, ls="--", lw=1.2, color=MUTED)
        axes.set_yticks(range(len(names)), [label(name, 26) for name in names])
        axes.set(xlim=(0, 1.12), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        percent_axis(axes, "x")
        axes.set_xlabel("test accuracy without a look at the picture; dashed: most frequent class")
        axes.set_title("What gives the label away")
