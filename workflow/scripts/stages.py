"""Extract the features of every stage of the frozen backbone, for use outside the workflow."""

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
    stages: Path


def main(files: Files, precision: str, threads: int) -> None:
    from headstart.models.backbones import Prepared
    from headstart.training import stages

    cache = ImageCache.open(files.images, files.index)
    backbone = Prepared.read(files.backbone, files.weights)
    stages.extract(cache, backbone, devices.open_device(precision, threads), files.stages)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.precision,
            snakemake.threads,
        )
