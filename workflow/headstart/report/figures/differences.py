"""The figure of the verdict's answers: every pair's difference beside the margin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart.report.figures.style import INK, MUTED, PALETTE, canvas, label, message

ANSWERS = {"better": PALETTE[0], "as good": PALETTE[2], "undecided": MUTED}


def differences(verdict: Mapping[str, Any], path: Path) -> None:
    """Pairwise differences in points: their two intervals, the zero line and the margin about it.

    The thin interval shows what is better, where it leaves out 0; the thick one what is as good,
    where it lies within the margin.
    """
    pairs = verdict["comparisons"]
    if not pairs:
        return message(path, "Differences", "One strategy: nothing to compare.")
    with canvas(path, 8.4, 1.5 + 0.46 * len(pairs)) as figure:
        axes = figure.subplots()
        for y, pair in enumerate(pairs):
            colour = ANSWERS[pair["answer"]]
            value = 100 * pair["difference"]
            for kind, width in (("", 1.4), ("margin_", 4.5)):
                ends = [100 * pair[f"{kind}low"], 100 * pair[f"{kind}high"]]
                axes.plot(ends, [y, y], color=colour, lw=width, alpha=0.5, solid_capstyle="butt")
            face = "white" if pair["answer"] == "undecided" else colour
            axes.plot(value, y, "o", ms=8, color=colour, mfc=face, mew=1.8)
            axes.annotate(
                f"{value:+.1f} {pair['answer']}",
                (value, y),
                (0, 7),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8.5,
                color=colour,
            )
        names = [f"{label(pair['a'], 22)} − {label(pair['b'], 22)}" for pair in pairs]
        axes.set_yticks(range(len(pairs)), names)
        axes.set_ylim(len(pairs) - 0.5, -0.7)
        axes.axvline(0, color=INK, lw=1.1)
        axes.axvspan(-verdict["margin"], verdict["margin"], color=MUTED, alpha=0.13, lw=0)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        text = (
            f"points of {verdict['metric_name']}; better where the thin interval leaves out 0, "
            "as good where the thick one lies in the grey margin"
        )
        figure.supxlabel(text, fontsize=9.5)
        axes.set_title("Differences between strategies")
