"""Compare the strategies on a further test set: a table and a verdict of its own."""

import logging
from dataclasses import dataclass
from pathlib import Path

from headstart import logs, paths
from headstart.data import manifest
from headstart.verdict import comparison, contract, reading, tables

logger = logging.getLogger("headstart.compare_further")


@dataclass(frozen=True)
class Files:
    runs: tuple[Path, ...]
    predictions: tuple[Path, ...]
    manifest: Path
    summary: Path
    verdict: Path


def main(files: Files, metric: str, margin: float) -> None:
    tested = [predictions.parent for predictions in files.predictions]
    results = reading.read(tested, [record.parent for record in files.runs])
    groups = manifest.read(files.manifest).set_index("id")["group"]
    accuracies, study = reading.studies(results, groups, metric)
    runs = tables.runs_table(results)
    tables.summary_table(runs, accuracies).to_csv(files.summary, index=False)
    verdict = comparison.compare(runs, study, margin)
    contract.write(verdict, files.verdict)
    logger.info(verdict["statement"])


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.metric,
            snakemake.params.margin,
        )
