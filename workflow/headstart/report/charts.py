"""Charts as SVG inside the page: they follow its width, its colours and its font.

Across the page everything stands at a percentage, down the page at a pixel, so that text keeps
its size on a phone. Marks carry data-strategy and data-seed, by which the page's script hides
them, and a title, which it shows at the pointer. Without the script the browser shows it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from headstart.report.figures.style import PALETTE, looks

ROW = 46
AXIS = 34
HEIGHT = 260
#: From so many points on they are smaller, and from so many on left out.
MANY_POINTS, MOST_POINTS = 60, 3000
Write = Callable[[float], str]


class Seed(NamedTuple):
    """One run's value, and what to say of it."""

    seed: str
    value: float
    told: str


@dataclass(frozen=True)
class Row:
    """A row of a dot chart: a value with its interval, and the runs it is the mean of."""

    name: str
    value: float
    low: float
    high: float
    text: str
    strategy: str = ""
    seeds: Sequence[Seed] = ()


@dataclass(frozen=True)
class Line:
    """A line through points (x, y, what to say of it), perhaps with an interval at each."""

    strategy: str
    seed: str
    points: Sequence[tuple[float, float, str]]
    ends: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Scale:
    """From values to percentages of the width, or to pixels of the height."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, count: int) -> list[float]:
        found = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        slack = 1e-9 * (self.high - self.low)
        return [float(t) for t in found if self.low - slack <= t <= self.high + slack]


def tones(strategies: Iterable[str]) -> dict[str, str]:
    """The class of each strategy's colour, which is that of its figures."""
    found = looks(strategies)
    return {name: f"tone-{PALETTE.index(look.colour)}" for name, look in found.items()}


def dots(
    rows: Sequence[Row],
    write: Write,
    name: str,
    lines: Sequence[tuple[float, str]] = (),
    band: float = 0,
    within: tuple[float, ...] = (),
) -> Markup:
    """Values with their intervals, one row each, over a common axis.

    Args:
        write: a tick's value as text.
        name: what the chart shows, for those who do not see it.
        lines: values to mark with an upright line, each with its caption.
        band: half the width of a grey band about 0.
        within: values that the axis has room for beside those of the rows.
    """
    tone = tones(row.strategy for row in rows if row.strategy)
    values = [
        v for row in rows for v in (row.low, row.high, row.value, *(s.value for s in row.seeds))
    ]
    values += [value for value, _ in lines] + ([-band, band] if band else []) + list(within)
    span = (max(values) - min(values)) or 1
    x = Scale(min(values) - 0.03 * span, max(values) + 0.03 * span, 1.5, 98.5)
    foot = ROW * len(rows) + 8
    drawn = [_grid(x, foot, write)]
    if band:
        width = x(band) - x(-band)
        drawn.append(
            _tag("rect", cls="band", x=f"{x(-band)}%", width=f"{width:.2f}%", y=0, height=foot)
        )
    drawn += [_upright(x(value), foot, caption) for value, caption in lines]
    drawn += [
        _row(row, ROW * i, x, tone.get(row.strategy, "tone-plain")) for i, row in enumerate(rows)
    ]
    return _svg(drawn, foot + AXIS + (18 if any(c for _, c in lines) else 0), name)


def _row(row: Row, top: float, x: Scale, tone: str) -> Markup:
    y = top + 29
    told = f"{row.name}: {row.text}"
    shown: list[Any] = [
        _tag("text", row.name, cls="name", x="0", y=top + 15),
        _tag("text", row.text, cls="value", x="100%", y=top + 15),
        _line(x(row.low), y, x(row.high), y, "interval", told),
        _tag("circle", _title(told), cls="mean", cx=f"{x(row.value)}%", cy=y, r=6.5),
    ]
    shown += [
        _tag(
            "circle",
            _title(s.told),
            cls="seed",
            cx=f"{x(s.value)}%",
            cy=y + 11,
            r=3.5,
            data_seed=s.seed,
        )
        for s in row.seeds
    ]
    return _tag("g", *shown, cls=tone, data_strategy=row.strategy or None)


def bars(rows: Sequence[Row], parts: Sequence[Sequence[tuple[float, str]]], name: str) -> Markup:
    """Bars from 0, each of several parts: (value, what to say of it)."""
    tone = tones(row.strategy for row in rows if row.strategy)
    x = Scale(0, max([sum(v for v, _ in part) for part in parts], default=1) or 1, 0, 100)
    drawn = []
    for i, (row, part) in enumerate(zip(rows, parts, strict=True)):
        top, start = (ROW - 4) * i, 0.0
        shown: list[Any] = [
            _tag("text", row.name, cls="name", x="0", y=top + 15),
            _tag("text", row.text, cls="value", x="100%", y=top + 15),
        ]
        for k, (value, told) in enumerate(part):
            width = f"{x(value):.2f}%"
            place = {"x": f"{x(start):.2f}%", "width": width, "y": top + 22, "height": 11}
            shown.append(_tag("rect", _title(told), cls=f"bar part-{k}", **place))
            start += value
        cls = tone.get(row.strategy, "tone-plain")
        drawn.append(_tag("g", *shown, cls=cls, data_strategy=row.strategy or None))
    return _svg(drawn, (ROW - 4) * len(rows) + 4, name)


def curves(
    lines: Sequence[Line],
    x_ticks: Sequence[tuple[float, str]],
    y_axis: tuple[Write, str],
    name: str,
    *,
    diagonal: bool = False,
) -> Markup:
    """Lines over a common axis; points are smaller where they are many.

    Args:
        x_ticks: places on the x axis and what is written there.
        y_axis: how its ticks are written, and its title.
        diagonal: draw the line on which y equals x.
    """
    tone = tones(line.strategy for line in lines if line.strategy)
    ys = [
        v
        for line in lines
        for v in (*(p[1] for p in line.points), *(e for ends in line.ends for e in ends))
    ]
    ys = [v for v in ys if math.isfinite(v)] or [0.0, 1.0]
    xs = [p[0] for line in lines for p in line.points] + [tick for tick, _ in x_ticks]
    x = Scale(min(xs), max(xs), 11, 97)
    spare = 0.04 * ((max(ys) - min(ys)) or 1)
    y = Scale(min(ys) - spare, max(ys) + spare, HEIGHT, 36)
    write, title = y_axis
    drawn: list[Any] = [_tag("text", title, cls="tick", x="0", y=10)]
    for tick in y.ticks(5):
        drawn.append(_line(0, y(tick), 100, y(tick), "grid"))
        drawn.append(_tag("text", write(tick), cls="tick", x="0", y=y(tick) - 4))
    for place, text in x_ticks:
        drawn.append(_tag("text", text, cls="tick middle", x=f"{x(place)}%", y=HEIGHT + 20))
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        drawn.append(_line(x(low), y(low), x(high), y(high), "reference"))
    n_points = sum(len(line.points) for line in lines)
    radius = 4 if n_points < MANY_POINTS else 2 if n_points < MOST_POINTS else 0
    drawn += [_curve(line, (x, y), tone.get(line.strategy, "tone-plain"), radius) for line in lines]
    return _svg(drawn, HEIGHT + AXIS - 4, name)


def _curve(line: Line, scales: tuple[Scale, Scale], tone: str, radius: float) -> Markup:
    x, y = scales
    points = [p for p in line.points if math.isfinite(p[1])]
    path = " ".join(f"{x(px)},{y(py)}" for px, py, _ in points)
    inner = _tag("polyline", points=path, cls="curve")
    # Stretched across the page, which only a viewBox can do to a polyline.
    box = f"0 0 100 {HEIGHT}"
    shown: list[Any] = [
        _tag("svg", inner, viewBox=box, preserveAspectRatio="none", width="100%", height=HEIGHT)
    ]
    shown += [
        _line(x(p[0]), y(low), x(p[0]), y(high), "interval thin")
        for p, (low, high) in zip(line.points, line.ends, strict=False)
    ]
    shown += [
        _tag("circle", _title(told), cls="point", cx=f"{x(px)}%", cy=y(py), r=radius)
        for px, py, told in points
        if radius
    ]
    keys = {"data_strategy": line.strategy or None, "data_seed": line.seed or None}
    return _tag("g", *shown, cls=tone, **keys)


def _grid(x: Scale, foot: float, write: Write) -> Markup:
    drawn = [_line(x(tick), 0, x(tick), foot, "grid") for tick in x.ticks(5)]
    drawn += [
        _tag("text", write(tick), cls="tick middle", x=f"{x(tick)}%", y=foot + 18)
        for tick in x.ticks(5)
    ]
    return Markup("").join(drawn)


def _upright(place: float, foot: float, caption: str) -> Markup:
    line = _line(place, 0, place, foot, "reference", caption)
    side = "" if place < 20 else " end" if place > 80 else " middle"
    return line + _tag("text", caption, cls=f"tick{side}", x=f"{place}%", y=foot + 36)


def _line(x1: float, y1: float, x2: float, y2: float, cls: str, told: str = "") -> Markup:
    ends = {"x1": f"{x1}%", "x2": f"{x2}%", "y1": y1, "y2": y2}
    return _tag("line", *([_title(told)] if told else []), cls=cls, **ends)


def _title(text: str) -> Markup:
    return _tag("title", text)


def _svg(drawn: Sequence[Markup], height: float, name: str) -> Markup:
    settings = {"width": "100%", "height": height, "role": "img", "aria_label": name}
    return _tag("svg", *drawn, cls="chart", **settings)


def _tag(kind: str, *content: Any, cls: str = "", **attributes: Any) -> Markup:
    """An element; attributes of None are left out, and _ in a name stands for -."""
    given = {"class": cls or None, **attributes}
    written = "".join(
        f' {key.replace("_", "-")}="{escape(value)}"'
        for key, value in given.items()
        if value is not None
    )
    inner = Markup("").join(escape(part) for part in content)
    return Markup(f"<{kind}{written}>{inner}</{kind}>")  # nosec B704
