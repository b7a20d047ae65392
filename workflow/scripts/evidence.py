"""Find what in its worst mistakes a model looked at, for the report."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import logs, paths
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.models import evidence
from headstart.verdict import mistakes

logger = logging.getLogger("headstart.evidence")
CPU = devices.Device("cpu", "", "", "fp32", 1)


@dataclass(frozen=True)
class Files:
    model: Path
    classes: Path
    predictions: Path
    images: Path
    index: Path
    evidence: Path


def main(files: Files) -> None:
    from headstart import prediction
    from headstart.views import augmentation
    from headstart.views.reader import Normalizer, Reader

    classifier = prediction.trained(files.classes.parent, files.model.parent)
    worst = mistakes.worst(pd.read_parquet(files.predictions), mistakes.MOST_SHOWN)
    codes = pd.Categorical(worst.predicted, categories=classifier.classes).codes
    cache = ImageCache.open(files.images, files.index)
    batches = Reader(cache, Normalizer(classifier.image, CPU)).batches(
        cache.positions(list(worst.id)),
        [np.array([row]) for row in range(len(worst))],
        augmentation.evaluation_transform(classifier.image),
    )
    maps = [
        evidence.maps(classifier.model, images, codes[row : row + 1].astype(np.int64))
        for row, images in enumerate(batches)
    ]
    found = np.concatenate(maps) if maps else np.zeros((0, 0, 0), np.float32)
    np.savez_compressed(files.evidence, ids=worst.id.to_numpy(str), maps=found.astype(np.float16))
    what = "no feature map with places" if len(worst) and not found.size else "Grad-CAM"
    logger.info("%d mistakes: %s", len(worst), what)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output))
