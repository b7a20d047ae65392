"""Compute once what the frozen part of the backbone hands to the last stages."""

import json
import time
from pathlib import Path

from headstart import logs
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache


def main(
    images: Path,
    index: Path,
    backbone: Path,
    weights: Path,
    stages: int,
    precision: str,
    threads: int,
    output: Path,
    meta: Path,
) -> None:
    from headstart.training import features

    started = time.perf_counter()
    device = devices.open_device(precision, threads)
    features.extract_prefix(
        ImageCache.open(images, index),
        json.loads(backbone.read_text()),
        weights,
        stages,
        device,
        output,
    )
    record = {"seconds": time.perf_counter() - started, "views": 1, "device": str(device)}
    meta.write_text(json.dumps(record, indent=2) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            Path(snakemake.input.images),
            Path(snakemake.input.index),
            Path(snakemake.input.backbone),
            Path(snakemake.input.weights),
            int(snakemake.wildcards.stages),
            snakemake.params.precision,
            snakemake.threads,
            Path(snakemake.output.features),
            Path(snakemake.output.meta),
        )
