"""Extract the features of the frozen backbone."""

import json
import time
from pathlib import Path
from typing import Any

from headstart import logs
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache
from headstart.experiment import config


def main(
    images: Path,
    index: Path,
    backbone: Path,
    weights: Path,
    augmentation: list[dict[str, Any]],
    views: int,
    precision: str,
    threads: int,
    output: Path,
    meta: Path,
    ids: Path,
) -> None:
    from headstart.training import features

    started = time.perf_counter()
    device = devices.open_device(precision, threads)
    cache = ImageCache.open(images, index)
    features.extract(
        cache,
        json.loads(backbone.read_text()),
        weights,
        [config.Transform.from_dict(transform) for transform in augmentation],
        views,
        device,
        output,
    )
    record = {"seconds": time.perf_counter() - started, "views": views, "device": str(device)}
    ids.write_text("".join(f"{image}\n" for image in cache.ids))
    meta.write_text(json.dumps(record, indent=2) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            Path(snakemake.input.images),
            Path(snakemake.input.index),
            Path(snakemake.input.backbone),
            Path(snakemake.input.weights),
            snakemake.params.augmentation,
            snakemake.params.views,
            snakemake.params.precision,
            snakemake.threads,
            Path(snakemake.output.features),
            Path(snakemake.output.meta),
            Path(snakemake.output.ids),
        )
