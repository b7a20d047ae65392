"""List the images of the source, with their labels and the split the source brings.

What is not on this machine yet is downloaded and unpacked first.
"""

import logging
from pathlib import Path
from typing import Any

from headstart import logs
from headstart.data import sources
from headstart.experiment import config

logger = logging.getLogger("headstart.fetch")


def main(dataset: dict[str, Any], downloads: Path, output: Path) -> None:
    listing = sources.fetch(config.parse(config.Dataset, dataset), downloads)
    listing.to_csv(output, index=False)
    logger.info("%d files in %d classes", len(listing), listing.label.nunique())


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            snakemake.params.dataset,
            Path(snakemake.params.downloads),
            Path(snakemake.output.source),
        )
