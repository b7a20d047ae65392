"""Draw what training will see: augmentations, samples, a batch, class balance, sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import logs, paths
from headstart.data import manifest
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.report import sanity


@dataclass(frozen=True)
class Files:
    manifest: Path
    train_val: Path
    test: Path
    images: Path
    index: Path
    backbone: Path
    class_grid: Path


def main(files: Files, augmentation: list[dict[str, Any]]) -> None:
    train_val = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    test = pd.read_csv(files.test, dtype=str, keep_default_na=False)
    data = sanity.Data(
        manifest=manifest.read(files.manifest),
        split=pd.concat([train_val, test], ignore_index=True),
        cache=ImageCache.open(files.images, files.index),
        image=sanity.read_image_config(files.backbone),
    )
    policy = [config.Transform.from_dict(transform) for transform in augmentation]
    sanity.draw(data, policy, files.class_grid.parent)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.params.augmentation)
