"""Numbers as a reader of the report sees them; a dash stands for what is unknown."""

import math
from typing import Any


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage: 0.872 → 87.2 %; a dash for what is unknown, as in all of these."""
    return "–" if missing(value) else f"{100 * value:.{digits}f}\u00a0%"  # type: ignore[operator]


def points(value: float | None) -> str:
    """A difference of shares in signed points: 0.027 → +2.7."""
    if missing(value):
        return "–"
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")  # type: ignore[operator]


def number(value: float | None, digits: int = 3) -> str:
    """A plain number with a fixed count of decimals."""
    return "–" if missing(value) else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return "–" if missing(value) else f"{value:,.0f}"


def p_value(value: float | None) -> str:
    """A p value with three decimals, or < 0.001."""
    return "< 0.001" if not missing(value) and value < 0.001 else number(value)  # type: ignore[operator]


def duration(seconds: float | None) -> str:
    """Seconds in at most two units: 191 → 3 min 11 s; a dash for zero, which was no work."""
    if missing(seconds) or seconds == 0:
        return "–"
    assert seconds is not None
    if seconds < 59.5:
        return f"{seconds:.2g}\u00a0s" if seconds < 9.95 else f"{seconds:.0f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u00a0h {minutes}\u00a0min"


def size(value: float | None) -> str:
    """Bytes in binary units: 1.9e9 → 1.8 GiB; a dash for zero, which was not measured."""
    if missing(value) or value == 0:
        return "–"
    assert value is not None
    unit = "KiB" if value < 2**20 else "MiB" if value < 2**30 else "GiB"
    amount = value / {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    return f"{amount:.1f}\u00a0{unit}" if unit == "GiB" else f"{amount:.0f}\u00a0{unit}"
