"""Freeze train, val and test; training gets the rows of train and val only."""

import json
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
    split: Path
    train_val: Path
    classes: Path
    notes: Path


def main(files: Files, settings: dict[str, Any]) -> None:
    images = manifest.read(files.manifest)
    split = splits.split(images, config.parse(config.Split, settings))
    split.to_csv(files.split, index=False)
    labelled = split.merge(images[["id", "label"]], on="id")[["id", "label", "split"]]
    labelled[labelled.split != "test"].to_csv(files.train_val, index=False)
    classes = sorted(labelled.label.unique())
    files.classes.write_text(json.dumps(classes, ensure_ascii=False) + "\n")
    lines = splits.summary(images, split)
    for line in lines:
        logger.info(line)
    files.notes.write_text("\n".join([*manifest.summary(images), *lines]) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.params.split)
