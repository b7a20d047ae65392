"""List the images of the source, with their labels and the split the source brings."""

import logging
from pathlib import Path
from typing import Any

from headstart import config, logs
from headstart.data import sources

logger = logging.getLogger("headstart.fetch")


def main(dataset: dict[str, Any], output: Path) -> None:
    listing = sources.list_images(config.parse(config.Dataset, dataset))
    listing.to_csv(output, index=False)
    logger.info("%d files in %d classes", len(listing), listing.label.nunique())


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(snakemake.params.dataset, Path(snakemake.output.source))
