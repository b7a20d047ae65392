"""The table: what was measured, the bar it is held to, and the hardware it was measured on."""

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Row:
    """One line of the table: a value, its bar (None where it is only shown) and what is behind it.

    `at_most` says that the value must not exceed the bar; otherwise it must reach it.
    """

    name: str
    value: float
    bar: float | None
    ours: str
    against: str
    at_most: bool = False

    @property
    def met(self) -> bool:
        if self.bar is None:
            return True
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    def line(self) -> str:
        bar = "" if self.bar is None else f"{'≤' if self.at_most else '≥'} {self.bar:g}"
        met = "" if self.bar is None else "yes" if self.met else "**no**"
        cells = [self.name, self.ours, self.against, number(self.value), bar, met]
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Unit:
    """A unit of measurements; `lower` says that the smaller of two is the better one."""

    name: str
    lower: bool = False


RATE, SECONDS, SHARE = Unit("images/s"), Unit("s", lower=True), Unit("%", lower=True)


def compared(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    bar: float | None,
    unit: Unit,
    against: str = "tutorial",
) -> Row:
    """How many times better the median of `ours` is than that of `theirs`."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    return Row(
        name,
        1 / ratio if unit.lower else ratio,
        bar,
        spread(ours, unit.name),
        f"{spread(theirs, unit.name)} ({against})",
    )


def spread(values: Sequence[float], unit: str) -> str:
    """Median [least, most] and the unit."""
    low, high = number(min(values)), number(max(values))
    return f"{number(statistics.median(values))} [{low}, {high}] {unit}"


def number(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(rows: Sequence[Row], device: str, repeats: str) -> str:
    """The table as Markdown, under the hardware and versions that it holds for."""
    import torch

    lines = [
        "# Benchmark",
        "",
        f"Hardware: {device}. Instruction sets: {', '.join(instruction_sets()) or 'unknown'}.",
        f"torch {torch.__version__}, Python {platform.python_version()}.",
        "",
        f"Median [least, most] of {repeats} interleaved repeats. Ratios decide; what stands",
        "beside them is shown. The tutorial is benchmarks/baseline.py. How each row is measured",
        "stands at the top of the module of its name in benchmarks/.",
        "",
        "| what | headstart | against | value | bar | met |",
        "|---|---|---|---|---|---|",
        *(row.line() for row in rows),
    ]
    return "\n".join(lines) + "\n"


def instruction_sets(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Those of this CPU's vector and matrix extensions that decide the speed of a training."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return [name for name in _INSTRUCTIONS if name in flags]
