"""Draw what training will see: augmentations, samples, a batch, class balance, sizes."""

from pathlib import Path
from typing import Any

import pandas as pd

from headstart import logs
from headstart.data import manifest
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.report import sanity


def main(
    manifest_path: Path,
    split: Path,
    train_val: Path,
    images: Path,
    index: Path,
    backbone: Path,
    augmentation: list[dict[str, Any]],
    folder: Path,
) -> None:
    sanity.draw(
        manifest.read(manifest_path),
        pd.read_csv(split, dtype=str, keep_default_na=False),
        pd.read_csv(train_val, dtype=str, keep_default_na=False),
        ImageCache.open(images, index),
        sanity.read_image_config(backbone),
        [config.Transform.from_dict(transform) for transform in augmentation],
        folder,
    )


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.input.manifest),
            Path(snakemake.input.split),
            Path(snakemake.input.train_val),
            Path(snakemake.input.images),
            Path(snakemake.input.index),
            Path(snakemake.input.backbone),
            snakemake.params.augmentation,
            Path(snakemake.output.class_grid).parent,
        )
