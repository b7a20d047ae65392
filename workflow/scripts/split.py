"""Freeze train, val and test; training gets the rows of train and val only."""

import json
import logging
from pathlib import Path
from typing import Any

from headstart import logs
from headstart.data import manifest, splits
from headstart.experiment import config

logger = logging.getLogger("headstart.split")


def main(
    manifest_path: Path,
    settings: dict[str, Any],
    split_path: Path,
    train_val_path: Path,
    classes_path: Path,
    notes_path: Path,
) -> None:
    images = manifest.read(manifest_path)
    split = splits.split(images, config.parse(config.Split, settings))
    split.to_csv(split_path, index=False)
    labelled = split.merge(images[["id", "label"]], on="id")[["id", "label", "split"]]
    labelled[labelled.split != "test"].to_csv(train_val_path, index=False)
    classes_path.write_text(json.dumps(sorted(labelled.label.unique()), ensure_ascii=False) + "\n")
    lines = splits.summary(images, split)
    for line in lines:
        logger.info(line)
    notes_path.write_text("\n".join([*manifest.summary(images), *lines]) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.input.manifest),
            snakemake.params.split,
            Path(snakemake.output.split),
            Path(snakemake.output.train_val),
            Path(snakemake.output.classes),
            Path(snakemake.output.notes),
        )
