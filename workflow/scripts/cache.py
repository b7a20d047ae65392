"""Decode every usable image once into one memory-mapped file.

Pictures of more than 8 bits in a further test set are scaled as the experiment's own are.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from headstart import logs, paths
from headstart.data import cache, manifest

logger = logging.getLogger("headstart.cache")


@dataclass(frozen=True)
class Files:
    manifest: Path
    backbone: Path
    images: Path
    index: Path
    home: Path | None = None


def main(files: Files, threads: int) -> None:
    table = manifest.read(files.manifest)
    image = json.loads(files.backbone.read_text())["image"]
    if files.home:
        own = manifest.ranges(manifest.read(files.home))
        image |= {"ranges": manifest.ranges(table) | own}
    with tqdm(total=len(table), unit="img", desc="cache", disable=None) as bar:
        progress = lambda done: bar.update(done - bar.n)  # noqa: E731
        cache.build(table, files.images, files.index, image, progress, threads)
    logger.info("%.0f MB of decoded images", files.images.stat().st_size / 1e6)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.threads)
