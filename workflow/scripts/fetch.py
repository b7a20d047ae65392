"""List the images of the source, with their labels and the split the source brings.

What is not on this machine yet is downloaded and unpacked first.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import logs, paths
from headstart.data import sources
from headstart.experiment import config

logger = logging.getLogger("headstart.fetch")


@dataclass(frozen=True)
class Files:
    source: Path
    notes: Path


def main(dataset: dict[str, Any], downloads: Path, files: Files, trains: bool = True) -> None:
    survey = sources.fetch(config.parse(config.Dataset, dataset), downloads, trains)
    survey.table.to_csv(files.source, index=False)
    logger.info("%d files in %d classes", len(survey.table), survey.table["label"].nunique())
    for note in survey.notes:
        logger.info(note)
    files.notes.write_text("".join(f"{note}\n" for note in survey.notes), encoding="utf-8")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            snakemake.params.dataset,
            Path(snakemake.params.downloads),
            paths.named(Files, snakemake.output),
            snakemake.params.trains,
        )
