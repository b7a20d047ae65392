"""Open every image of a further test set once, and leave out those that the experiment has."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from headstart import logs, paths
from headstart.data import further, manifest

logger = logging.getLogger("headstart.admit")


@dataclass(frozen=True)
class Files:
    source: Path
    source_notes: Path
    home: Path
    classes: Path
    manifest: Path
    test: Path
    notes: Path


def main(files: Files, name: str, metric: str, threads: int) -> None:
    listing = pd.read_csv(files.source, dtype=str, keep_default_na=False)
    with tqdm(total=len(listing), unit="img", desc="manifest", disable=None) as bar:
        table = manifest.build(listing, lambda done: bar.update(done - bar.n), threads)
    table = further.admitted(table, manifest.read(files.home))
    lines = manifest.summary(table)
    for line in lines:
        logger.info(line)
    further.require_images(name, table)
    usable = table[table.status == manifest.OK]
    classes = json.loads(files.classes.read_text())
    further.require_classes(name, set(usable.label), classes, metric)
    table.to_csv(files.manifest, index=False)
    usable[["id", "label"]].assign(split="test").to_csv(files.test, index=False)
    notes = [*files.source_notes.read_text().splitlines(), *lines]
    files.notes.write_text("".join(f"{line}\n" for line in notes))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.wildcards.test,
            snakemake.params.metric,
            snakemake.threads,
        )
