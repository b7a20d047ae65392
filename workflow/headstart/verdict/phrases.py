"""Pieces that sentences and tables of a verdict are made of: numbers, times, counts, lists."""

from collections.abc import Callable

_SHARES = ("accuracy", "balanced_accuracy")


def duration(seconds: float) -> str:
    """`8.2 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def replicates(entry: dict) -> str:
    """How often a strategy was trained: 3 seeds; 5 splits × 2 seeds; 3 seeds, a split each."""
    if entry["deterministic"]:
        splits = f", {entry['splits']} splits" if entry["splits"] > 1 else ""
        return f"the same model for every seed{splits}"
    seeds = f"{entry['seeds']} seed{'' if entry['seeds'] == 1 else 's'}"
    if entry["splits"] == 1:
        return seeds
    crossed = entry["runs"] == entry["splits"] * entry["seeds"]
    return f"{entry['splits']} splits × {seeds}" if crossed else f"{seeds}, a split each"


def writer(verdict: dict) -> Callable[[float], str]:
    """How a mean of the verdict's metric is written."""
    if verdict["metric"] in _SHARES:
        return lambda value: f"{percent(value)} %"
    return lambda value: f"{value:.3f}"


def between(write: Callable[[float], str], entry: dict) -> str:
    """The interval of an entry that has low and high."""
    return f"{write(entry['low']).removesuffix(' %')} to {write(entry['high'])}"


def percent(share: float) -> str:
    """A share as a percentage without its sign: 86.2."""
    return f"{100 * share:.1f}"


def points(difference: float, digits: int) -> float:
    """A difference of accuracies in rounded points, without a minus before a zero."""
    return round(100 * difference, digits) + 0.0


def times(ratio: float) -> str:
    """5.8 times as long."""
    return f"{ratio:.1f} times as long" if ratio < 10 else f"{ratio:,.0f} times as long"


def p_value(p: float) -> str:
    """Two significant digits, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def margin(verdict: dict) -> str:
    """1 point; 0.5 points."""
    return f"{verdict['margin']:g} point{'' if verdict['margin'] == 1 else 's'}"


def rounded(count: int) -> int:
    """To two significant digits, upwards."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // unit) * unit


def article(name: str) -> str:
    """a or an."""
    return "an" if name[0] in "aeiou" else "a"


def joined(items: list[str]) -> str:
    """a; a and b; a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
