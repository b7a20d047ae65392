"""Image files as they come, classified by a model of any runtime; knows nothing of torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from headstart.data import cache as caches
from headstart.data import decoding, manifest

_CACHED = 512


@dataclass(frozen=True)
class Predictions:
    """What became of image files.

    `scores` are class probabilities, float32 (len(paths), K), of the `paths` that can be read,
    `broken` says of each other file what is wrong with it, and `ranges` scaled the pictures of
    more than 8 bits.
    """

    paths: list[Path]
    scores: np.ndarray
    broken: dict[Path, str]
    ranges: decoding.Ranges


@dataclass(frozen=True)
class Model:
    """What is needed of a model to classify files.

    Attributes:
        classes: their names, K of them.
        image: the preprocessing, as in backbone/config.json.
        ranges: from where to where pictures of more than 8 bits are scaled, as in training.
        score: class probabilities float32 (n, K) of the n images of a cache.
    """

    classes: Sequence[str]
    image: dict[str, Any]
    ranges: decoding.Ranges
    score: Callable[[caches.ImageCache], np.ndarray]


def classify(model: Model, paths: Sequence[Path], threads: int) -> Predictions:
    """Class probabilities of those image files that can be read.

    The files go through the very manifest and cache that an experiment's images go through.
    Pictures of a depth that training had none of are scaled by what `paths` hold.
    """
    names = {"id": map(str, range(len(paths))), "path": map(str, paths), "label": "", "split": ""}
    table = manifest.build(pd.DataFrame(names, dtype=object), threads=threads)
    usable = (table["status"] == manifest.OK).to_numpy()
    ranges = manifest.ranges(table) | dict(model.ranges)
    return Predictions(
        [path for path, good in zip(paths, usable, strict=True) if good],
        _scores(model, table[usable], ranges, threads),
        {paths[row]: table["status"].iloc[row] for row in np.flatnonzero(~usable).tolist()},
        ranges,
    )


def _scores(model: Model, table: pd.DataFrame, ranges: decoding.Ranges, threads: int) -> np.ndarray:
    """Class probabilities of the usable images of a manifest, float32 (len(table), K)."""
    parts = [np.empty((0, len(model.classes)), np.float32)]
    image = model.image | {"ranges": ranges}
    with TemporaryDirectory(prefix="headstart-") as folder:
        pixels, index = Path(folder, "images.bin"), Path(folder, "index.csv")
        for start in range(0, len(table), _CACHED):
            part = table.iloc[start : start + _CACHED]
            caches.build(part, pixels, index, image, None, threads)
            parts.append(model.score(caches.ImageCache.open(pixels, index)))
    return np.concatenate(parts)


def top(scores: np.ndarray, classes: Sequence[str], k: int) -> list[tuple[str, float]]:
    """The k most probable classes of one image and their probabilities, best first.

    Args:
        scores: float (K,), in the order of `classes`.
    """
    best = np.argsort(-scores, kind="stable")[:k]
    return [(classes[i], float(scores[i])) for i in best]


def thumbnail(path: Path, ranges: decoding.Ranges, side: int = 480) -> np.ndarray:
    """The image as it is classified, upright and RGB, uint8 (h, w, 3) within side × side pixels.

    Args:
        ranges: those of the `Predictions`.
    """
    with decoding.quiet():
        picture = decoding.decode(path.read_bytes(), ranges)
    picture.thumbnail((side, side))
    return np.asarray(picture)
