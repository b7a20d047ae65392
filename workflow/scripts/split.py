"""Divide the images into train, val and test; training gets the rows of train and val only."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import logs, paths
from headstart.data import manifest, splits
from headstart.experiment import config

logger = logging.getLogger("headstart.split")


@dataclass(frozen=True)
class Files:
    manifest: Path
    train_val: Path
    test: Path
    notes: Path


def main(files: Files, settings: dict[str, Any], number: int) -> None:
    images = manifest.read(files.manifest)
    split = splits.split(images, config.parse(config.Split, settings), number)
    labelled = split.merge(images[["id", "label"]], on="id")[["id", "label", "split"]]
    tested = labelled.split == "test"
    labelled[~tested].to_csv(files.train_val, index=False)
    labelled[tested].to_csv(files.test, index=False)
    lines = splits.summary(images, split)
    for line in lines:
        logger.info(line)
    files.notes.write_text("".join(f"{line}\n" for line in lines))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.split,
            int(snakemake.wildcards.split),
        )
