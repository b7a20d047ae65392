"""Extract the features of the frozen backbone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import logs, paths
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache
from headstart.experiment import config


@dataclass(frozen=True)
class Files:
    images: Path
    index: Path
    backbone: Path
    weights: Path
    features: Path
    meta: Path
    ids: Path


def main(
    files: Files, augmentation: list[dict[str, Any]], views: int, precision: str, threads: int
) -> None:
    from headstart.models.backbones import Prepared
    from headstart.training import features

    device = devices.open_device(precision, threads)
    cache = ImageCache.open(files.images, files.index)
    transforms = [config.Transform.from_dict(transform) for transform in augmentation]
    backbone = Prepared.read(files.backbone, files.weights)
    with features.costed(files.meta, files.features, views, device):
        features.extract(cache, backbone, transforms, views, device, files.features)
    files.ids.write_text("".join(f"{image}\n" for image in cache.ids))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.augmentation,
            snakemake.params.views,
            snakemake.params.precision,
            snakemake.threads,
        )
