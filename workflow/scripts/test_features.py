"""Compute once the features on which every strategy with a frozen backbone is tested."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart import logs, paths
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache


@dataclass(frozen=True)
class Files:
    images: Path
    index: Path
    backbone: Path
    weights: Path
    train_val: Path
    test: Path
    features: Path
    ids: Path


def main(files: Files, flips: list[str], precision: str, threads: int) -> None:
    from headstart.models.backbones import Prepared
    from headstart.training import features

    device = devices.open_device(precision, threads)
    cache = ImageCache.open(files.images, files.index)
    train_val = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    test = pd.read_csv(files.test, dtype=str, keep_default_na=False)
    ids = [*train_val.id[train_val.split == "val"], *test.id]
    backbone = Prepared.read(files.backbone, files.weights)
    features.extract_flipped(cache, ids, backbone, flips, device, files.features)
    files.ids.write_text("".join(f"{image}\n" for image in ids))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.flips,
            snakemake.params.precision,
            snakemake.threads,
        )
