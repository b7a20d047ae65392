"""Decode every usable image once into one memory-mapped file."""

import json
import logging
from pathlib import Path

from tqdm import tqdm

from headstart import logs
from headstart.data import cache, manifest

logger = logging.getLogger("headstart.cache")


def main(manifest_path: Path, backbone: Path, images: Path, index: Path, threads: int) -> None:
    table = manifest.read(manifest_path)
    image = json.loads(backbone.read_text())["image"]
    with tqdm(total=len(table), unit="img", desc="cache", disable=None) as bar:
        cache.build(
            table,
            images,
            index,
            image["cache_size"],
            image["interpolation"],
            lambda done: bar.update(done - bar.n),
            threads,
        )
    logger.info("%.0f MB of decoded images", images.stat().st_size / 1e6)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.input.manifest),
            Path(snakemake.input.backbone),
            Path(snakemake.output.images),
            Path(snakemake.output.index),
            snakemake.threads,
        )
