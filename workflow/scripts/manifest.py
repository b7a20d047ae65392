"""Open every image once: size, hash, and what is wrong with the broken ones."""

import logging
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from headstart import logs
from headstart.data import manifest

logger = logging.getLogger("headstart.manifest")


def main(source: Path, output: Path, threads: int) -> None:
    listing = pd.read_csv(source, dtype=str, keep_default_na=False)
    with tqdm(total=len(listing), unit="img", desc="manifest", disable=None) as bar:
        table = manifest.build(listing, lambda done: bar.update(done - bar.n), threads)
    for line in manifest.summary(table):
        logger.info(line)
    manifest.require_classes(table)
    table.to_csv(output, index=False)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(Path(snakemake.input.source), Path(snakemake.output.manifest), snakemake.threads)
