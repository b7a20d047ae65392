"""Compute once what the frozen part of the backbone hands to the last stages."""

from dataclasses import dataclass
from pathlib import Path

from headstart import logs, paths
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache


@dataclass(frozen=True)
class Files:
    images: Path
    index: Path
    backbone: Path
    weights: Path
    features: Path
    meta: Path


def main(files: Files, stages: int, precision: str, threads: int) -> None:
    from headstart.models.backbones import Prepared
    from headstart.training import features, prefix

    device = devices.open_device(precision, threads)
    cache = ImageCache.open(files.images, files.index)
    backbone = Prepared.read(files.backbone, files.weights)
    with features.costed(files.meta, files.features, 1, device):
        prefix.extract(cache, backbone, stages, device, files.features)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            int(snakemake.wildcards.stages),
            snakemake.params.precision,
            snakemake.threads,
        )
