"""Compare the strategies: tables, verdict and figures."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import logs, paths
from headstart.data import manifest
from headstart.report.figures import comparison as figures
from headstart.report.figures import differences
from headstart.report.figures.style import looks
from headstart.tracking import connection, entries, outages
from headstart.verdict import comparison, contract, reading, tables

logger = logging.getLogger("headstart.compare")


@dataclass(frozen=True)
class Files:
    runs: tuple[Path, ...]
    manifest: Path
    shortcuts: Path
    tracking: Path
    tests: tuple[Path, ...] = ()


def main(
    files: Files, folder: Path, metric: str, margin: float, missing: Sequence[dict[str, Any]]
) -> None:
    results = reading.read([record.parent for record in files.runs])
    groups = manifest.read(files.manifest).set_index("id")["group"]
    accuracies, study = reading.studies(results, groups, metric)
    runs = tables.runs_table(results)
    summary = tables.summary_table(runs, accuracies)
    shortcuts = json.loads(files.shortcuts.read_text())
    tests = {path.parent.name: json.loads(path.read_text()) for path in files.tests}
    verdict = comparison.compare(runs, study, margin, shortcuts, tests, missing)
    runs.to_csv(folder / "runs.csv", index=False)
    summary.to_csv(folder / "summary.csv", index=False)
    contract.write(verdict, folder / "verdict.json")
    histories = {
        (*result.key, (result.split, result.seed)): pd.read_csv(result.folder / "history.csv")
        for result in results
        if "derived" not in result.run
    }
    for kind in ("png", "svg"):
        figures.accuracy(runs, summary, verdict, folder / f"accuracy.{kind}")
        figures.curves(histories, folder / f"training_curves.{kind}")
        figures.cost(runs, summary, folder / f"cost.{kind}")
        differences.differences(verdict, folder / f"differences.{kind}")
        if summary.fraction.nunique() > 1:
            figures.learning_curve(summary, folder / f"learning_curve.{kind}")
    colours = {name: look.colour for name, look in looks(runs["strategy"]).items()}
    with outages.spared(files.tracking):
        entries.compared(connection.reach(files.tracking), folder, colours)
    logger.info(verdict["statement"])


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            paths.named(Files, snakemake.input),
            Path(snakemake.output.verdict).parent,
            snakemake.params.metric,
            snakemake.params.margin,
            snakemake.params.missing,
        )
