"""Figures: one style for all of them, written straight to a file.

Every function of `sanity`, `runs` and `comparison` takes plain data and a target path. Figures are
drawn on matplotlib's Agg canvas without pyplot: nothing stays open, and a notebook's own backend
and settings are left alone.
"""

import functools
import logging
import math
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from noto_cjk_sans_otc import FONT_PATH
from PIL import Image

logger = logging.getLogger(__name__)
# A fallback font without a bold face is drawn upright, which is no news to a reader.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

DPI = 120
INK = "#1f2933"
MUTED = "#6b7785"
FAINT = "#d5dbe1"
PAPER = "#f3f5f7"
ACCENT = "#d55e00"

# Okabe and Ito's colour-blind-safe palette, darkest first, without its yellow.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")
FIRST_STRATEGIES = ("head_only", "full", "scratch")
SPLIT_COLOURS = {"train": "#4a6078", "val": "#a9bccf", "test": "#e69f00", "no split": "#dcdcdc"}

# DejaVu Sans comes with matplotlib; Noto Sans CJK draws Chinese, Japanese and Korean.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC")
font_manager.fontManager.addfont(str(FONT_PATH))

STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "headstart",
}


class Look(NamedTuple):
    """How one strategy is drawn in every figure of an experiment."""

    colour: str
    marker: str


@functools.cache
def _warn_of_missing_glyphs() -> None:
    logger.warning("figures: some characters of the labels are in none of %s", " and ".join(FONTS))


@contextmanager
def canvas(
    path: Path, width: float, height: float, layout: Any = "constrained"
) -> Iterator[Figure]:
    """A figure of width × height inches in the shared style, saved to `path` on leaving.

    The path's ending says as what: .png or .svg.
    """
    style: Any = {**STYLE, "font.family": list(FONTS)}
    with rc_context(style), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.suffix.removeprefix(".")
        # An SVG is dated otherwise, and would never be the same twice.
        figure.savefig(path, format=kind, metadata={"Date": None} if kind == "svg" else None)
    for warning in caught:
        if "missing from font" in str(warning.message):
            _warn_of_missing_glyphs()
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def message(path: Path, title: str, text: str) -> None:
    """A small figure that says why there is nothing to draw."""
    with canvas(path, 7, 1.6) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.set_title(title)
        axes.text(0, 0.6, text, transform=axes.transAxes, color=MUTED, va="center")


def looks(strategies: Iterable[str]) -> dict[str, Look]:
    """The colour and marker of each strategy, whatever the order of the argument.

    head_only, full and scratch always look the same; others follow in alphabetical order.
    """
    names = set(strategies)
    order = [*FIRST_STRATEGIES, *sorted(names.difference(FIRST_STRATEGIES))]
    return {
        name: Look(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)])
        for i, name in enumerate(order)
        if name in names
    }


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def label(text: object, limit: int = 26) -> str:
    """`text` on one line, its middle ellipsized so that it takes at most `limit` columns.

    Both ends stay, since class names often differ only in the last letters. East Asian characters
    count as two columns.
    """
    clean = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if not clean:
        return "(no name)"
    if sum(map(_columns, clean)) <= limit:
        return clean
    head, tail = clean, clean[::-1]
    return f"{_cut(head, limit - limit // 3 - 1)}…{_cut(tail, limit // 3)[::-1]}"


def _cut(text: str, limit: int) -> str:
    used = 0
    for i, character in enumerate(text):
        used += _columns(character)
        if used > limit:
            return text[:i]
    return text


def percent(value: float, digits: int = 1) -> str:
    """A share as a percentage with a no-break space: 0.872 → 87.2 %."""
    return f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def percent_axis(axes: Axes, which: str) -> None:
    """Write the x or y axis, which carries shares, in percent."""
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}\u00a0%"))


def epoch_axis(axes: Axes) -> None:
    """Whole numbers on the x axis, named epoch."""
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlabel("epoch")


def spread(items: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` of the items, evenly spaced through them."""
    if len(items) <= limit:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def _fit(image: np.ndarray, side: int) -> Image.Image:
    """The image within a square tile, its aspect kept; pixels stay visible when much enlarged."""
    picture = Image.fromarray(np.ascontiguousarray(image)).convert("RGB")
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    tile = Image.new("RGB", (side, side), PAPER)
    tile.paste(picture.resize(size, method), ((side - size[0]) // 2, (side - size[1]) // 2))
    return tile


class Row(NamedTuple):
    """A row of a mosaic: uint8 HWC images, the text under each, of one or several lines, and the
    text left of the row."""

    images: Sequence[np.ndarray]
    captions: Sequence[str] = ()
    label: str = ""


def mosaic(path: Path, rows: Sequence[Row], *, title: str, side: int, note: str = "") -> None:
    """Images in rows of square tiles of `side` pixels; text is ellipsized to its room."""
    gap, margin, line, label_room = 8, 16, 15, 190
    lines = max((c.count("\n") + 1 for row in rows for c in row.captions), default=0)
    left = margin + (label_room if any(row.label for row in rows) else 0)
    top = 44 + (18 if note else 0)
    step = side + gap + lines * line + (4 if lines else 0)
    width = left + max(len(row.images) for row in rows) * (side + gap) - gap + margin
    width = max(width, 420)
    height = top + len(rows) * step - gap + margin
    page = Image.new("RGB", (width, height), "white")
    for r, row in enumerate(rows):
        for c, image in enumerate(row.images):
            page.paste(_fit(image, side), (left + c * (side + gap), top + r * step))
    with canvas(path, width / DPI, height / DPI, layout="none") as figure:
        figure.figimage(np.asarray(page))
        write = functools.partial(_write, figure)
        write(margin, 14, title, width - 2 * margin, size=11, weight="bold")
        write(margin, 36, note, width - 2 * margin, size=8.5, color=MUTED)
        for r, row in enumerate(rows):
            y = top + r * step
            write(left - 12, y + side / 2, row.label, label_room - 12, va="center", ha="right")
            for c, text in enumerate(row.captions):
                x = left + c * (side + gap)
                for i, part in enumerate(text.split("\n")):
                    write(x, y + side + 4 + i * line, part, side, size=7.5)


def _write(
    figure: Figure, x: float, y: float, text: str, room: float, va: str = "top", **style: Any
) -> None:
    """Text at pixel (x, y) from the top left, its middle ellipsized to `room` pixels."""
    if not text:
        return
    width, height = figure.get_size_inches() * DPI
    written = figure.text(x / width, 1 - y / height, label(text, 10_000), va=va, **style)
    renderer = FigureCanvasAgg(figure).get_renderer()
    limit = min(len(text), int(room / 4))
    while written.get_window_extent(renderer).width > room and limit > 4:
        written.set_text(label(text, limit))
        limit -= 1


def in_rows(items: Sequence[Any], columns: int) -> list[Sequence[Any]]:
    """The items cut into rows of `columns`."""
    return [items[i * columns : (i + 1) * columns] for i in range(math.ceil(len(items) / columns))]
