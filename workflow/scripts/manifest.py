"""Open every image once: size, hash, and what is wrong with the broken ones."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from headstart import logs, paths
from headstart.data import manifest

logger = logging.getLogger("headstart.manifest")


@dataclass(frozen=True)
class Files:
    source: Path
    manifest: Path
    classes: Path


def main(files: Files, threads: int) -> None:
    listing = pd.read_csv(files.source, dtype=str, keep_default_na=False)
    with tqdm(total=len(listing), unit="img", desc="manifest", disable=None) as bar:
        table = manifest.build(listing, lambda done: bar.update(done - bar.n), threads)
    for line in manifest.summary(table):
        logger.info(line)
    manifest.require_classes(table)
    table.to_csv(files.manifest, index=False)
    classes = sorted(table.label[table.status == manifest.OK].unique())
    files.classes.write_text(json.dumps(classes, ensure_ascii=False) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.threads)
