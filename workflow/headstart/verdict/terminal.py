"""What a finished experiment leaves on the terminal."""

import json
import textwrap
from pathlib import Path

import pandas as pd

from headstart.verdict import words
from headstart.verdict.phrases import between, duration, writer

TABLE_WIDTH = 100


def closing_lines(results: Path) -> str:
    """What a finished experiment leaves on the terminal: table, verdict, where to look."""
    verdict = json.loads((results / "comparison" / "verdict.json").read_text())
    summary = pd.read_csv(results / "comparison" / "summary.csv")
    return "\n".join(
        [
            "",
            verdict_table(verdict, summary),
            "",
            *textwrap.wrap(f"Verdict: {verdict['statement']}", TABLE_WIDTH),
            "",
            *failures(verdict),
            f"Report:    {results / 'report.html'}",
            "MLflow UI: headstart ui",
        ]
    )


def failures(verdict: dict) -> list[str]:
    """Why runs are missing, and which; nothing where all are there."""
    lines = [
        line
        for reason, runs in words.failures(verdict).items()
        for line in [
            *textwrap.wrap(f"Failed: {reason}", TABLE_WIDTH),
            *(f"  {run}" for run in runs),
        ]
    ]
    return [*lines, ""] if lines else []


def verdict_table(verdict: dict, summary: pd.DataFrame) -> str:
    """The strategies, best first, as an aligned plain-text table of at most 100 columns.

    Args:
        verdict: as in verdict.json.
        summary: as in summary.csv.
    """
    trained = "seeds" if verdict["n_splits"] == 1 else "runs"
    write = writer(verdict)
    named = ("95 % interval", "best", trained, "device time", "trainable parameters")
    rows = [("strategy", verdict["metric_name"], *named)]
    at_fraction = summary[summary["fraction"] == verdict["fraction"]].set_index("strategy")
    for entry in verdict["strategies"]:
        row = at_fraction.loc[entry["strategy"]]
        rows.append(
            (
                entry["strategy"],
                write(entry["mean"]),
                between(write, entry),
                f"{100 * entry['chance_best']:.0f} %",
                str(entry["seeds"] if verdict["n_splits"] == 1 else entry["runs"]),
                duration(row["device_seconds"]),
                f"{int(row['trainable_parameters']):,}",
            )
        )
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    gaps = 2 * (len(widths) - 1)
    widths[0] = min(widths[0], TABLE_WIDTH - gaps - sum(widths[1:]))
    lines = []
    for name, *cells in rows:
        if len(name) > widths[0]:
            name = name[: widths[0] - 1] + "…"
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
