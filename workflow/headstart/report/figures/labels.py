"""Text beside points, placed so that no label covers another."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def place_labels(
    figure: Figure,
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[str],
) -> list[Bbox]:
    """Write each text near its point where it meets no other text or point; their boxes in pixels.

    Tries places in growing rings around the point, and keeps the last when all are taken.
    """
    backend = FigureCanvasAgg(figure)
    backend.draw()
    renderer = backend.get_renderer()
    pixels = axes.transData.transform(points)
    taken = [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in pixels]
    boxes: list[Bbox] = []
    for point, text, colour in zip(points, texts, colours, strict=True):
        note = axes.annotate(
            text,
            point,
            (0, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
            weight="bold",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6},
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
        for radius in (11, 18, 28, 42, 60, 84):
            if _settle(note, radius, axes, renderer, [*taken, *boxes]):
                break
        boxes.append(_text_box(note, renderer))
    return boxes


def _settle(note: Any, radius: float, axes: Axes, renderer: Any, taken: Sequence[Bbox]) -> bool:
    for dx, dy in ((1, 0), (-1, 0), (0.8, 0.8), (0.8, -0.8), (-0.8, 0.8), (-0.8, -0.8)):
        note.set_ha("left" if dx > 0 else "right")
        note.xyann = (dx * radius, dy * radius)
        note.arrow_patch.set_visible(radius > 20)
        box = _text_box(note, renderer)
        inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        inside = inside and axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return True
    return False


def _text_box(note: Any, renderer: Any) -> Bbox:
    """The box of an annotation's text without its arrow."""
    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)
