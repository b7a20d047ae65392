"""Extract the features of every stage of the frozen backbone, for use outside the workflow."""

import json
from pathlib import Path

from headstart import logs
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache


def main(
    images: Path,
    index: Path,
    backbone: Path,
    weights: Path,
    precision: str,
    threads: int,
    folder: Path,
) -> None:
    from headstart.training import features

    features.extract_stages(
        ImageCache.open(images, index),
        json.loads(backbone.read_text()),
        weights,
        devices.open_device(precision, threads),
        folder,
    )


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            Path(snakemake.input.images),
            Path(snakemake.input.index),
            Path(snakemake.input.backbone),
            Path(snakemake.input.weights),
            snakemake.params.precision,
            snakemake.threads,
            Path(snakemake.output.stages),
        )
