"""Find what in their worst mistakes the models looked at, for the report."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart import logs, paths
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.models import evidence
from headstart.verdict import mistakes

if TYPE_CHECKING:
    from headstart import prediction

logger = logging.getLogger("headstart.evidence")


@dataclass(frozen=True)
class Files:
    models: tuple[Path, ...]
    predictions: tuple[Path, ...]
    classes: Path
    images: Path
    index: Path
    evidence: tuple[Path, ...]


def main(files: Files) -> None:
    from headstart import prediction

    cache = ImageCache.open(files.images, files.index)
    for model, answers, target in zip(files.models, files.predictions, files.evidence, strict=True):
        classifier = prediction.trained(files.classes.parent, model.parent)
        worst = mistakes.worst(pd.read_parquet(answers), mistakes.MOST_SHOWN)
        maps = looked_at(classifier, cache, worst)
        np.savez_compressed(target, ids=worst.id.to_numpy(str), maps=maps.astype(np.float16))
        kind = "no feature map with places" if len(maps) and not maps.size else "Grad-CAM"
        logger.info("%s: %d mistakes, %s", model.parent, len(maps), kind)


def looked_at(
    classifier: "prediction.Classifier", cache: ImageCache, worst: pd.DataFrame
) -> np.ndarray:
    """A map for each wrong answer, of what spoke for it; one image at a time."""
    from headstart.views import augmentation
    from headstart.views.reader import Normalizer, Reader, consecutive

    codes = pd.Categorical(worst.predicted, categories=classifier.classes).codes.astype(np.int64)
    batches = Reader(cache, Normalizer(classifier.image, devices.CPU)).batches(
        cache.positions(list(worst.id)),
        consecutive(len(worst), 1),
        augmentation.evaluation_transform(classifier.image),
    )
    maps = [
        evidence.maps(classifier.model, images, codes[[row]]) for row, images in enumerate(batches)
    ]
    return np.concatenate(maps) if maps else np.zeros((0, 0, 0), np.float32)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output))
