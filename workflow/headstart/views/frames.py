"""Framings: which part of each image a view shows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

_ATTEMPTS = 10


@dataclass(frozen=True)
class Frames:
    """Which part of each of n images a square view shows; lengths in pixels, int64.

    A box is cut out and resized, and the view is a window of the result, mirrored at the
    edges where it reaches beyond them, and then flipped.

    Args:
        boxes: top, left, height, width in the image, (n, 4).
        resized: height, width of the resized boxes, (n, 2).
        windows: top, left in the resized boxes, (n, 2).
        size: side of the views.
        flips: whether up and down, left and right are exchanged, bool (n, 2).
    """

    boxes: np.ndarray
    resized: np.ndarray
    windows: np.ndarray
    size: int
    flips: np.ndarray

    def shown(self, axis: int) -> np.ndarray:
        """Rows (axis 0) or columns (axis 1) of the resized boxes, (n, size), before the flip."""
        last = self.resized[:, axis, None] - 1
        wanted = np.abs(self.windows[:, axis, None] + np.arange(self.size))
        return last - np.abs(last - wanted)


def centred(sizes: np.ndarray, rng: np.random.Generator, image: dict[str, Any]) -> Frames:
    """The framing of evaluation: resize, then centre crop; draws nothing.

    Args:
        sizes: (height, width) of the images in pixels, int64 (n, 2).
    """
    resized = _resized(sizes, image["resize"])
    windows = np.round((resized - image["size"]) / 2).astype(np.int64)
    return _upright(_whole(sizes), resized, windows, image["size"])


def random_crop(
    sizes: np.ndarray, rng: np.random.Generator, image: dict[str, Any], padding: int
) -> Frames:
    """Resize as in evaluation, then a window anywhere within the picture and its padding."""
    resized = _resized(sizes, image["resize"])
    windows = rng.integers(resized + 2 * padding - image["size"] + 1) - padding
    return _upright(_whole(sizes), resized, windows, image["size"])


def random_resized_crop(
    sizes: np.ndarray,
    rng: np.random.Generator,
    image: dict[str, Any],
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Frames:
    """Boxes of random area and aspect ratio, as torchvision's RandomResizedCrop draws them.

    The first of ten draws that fits in the image is taken, else the largest central box within
    the bounds of `ratio`.
    """
    n = len(sizes)
    area = sizes.prod(1, keepdims=True) * rng.uniform(*scale, (n, _ATTEMPTS))
    narrowest, widest = ratio
    aspect = np.exp(rng.uniform(math.log(narrowest), math.log(widest), (n, _ATTEMPTS)))
    drawn = np.sqrt(np.stack([area / aspect, area * aspect], axis=2)).round().astype(np.int64)
    fits = ((drawn > 0) & (drawn <= sizes[:, None])).all(2)
    found = fits.any(1, keepdims=True)
    bounded = np.clip(sizes[:, 1] / sizes[:, 0], narrowest, widest)
    central = np.stack([sizes[:, 1] / bounded, sizes[:, 0] * bounded], axis=1).round()
    central = np.minimum(central.astype(np.int64), sizes)
    cut = np.where(found, drawn[np.arange(n), fits.argmax(1)], central)
    room = sizes - cut
    corners = np.where(found, rng.integers(room + 1), room // 2)
    shape = np.full_like(sizes, image["size"])
    return _upright(np.hstack([corners, cut]), shape, np.zeros_like(sizes), image["size"])


def _upright(boxes: np.ndarray, resized: np.ndarray, windows: np.ndarray, size: int) -> Frames:
    return Frames(boxes, resized, windows, size, np.zeros((len(boxes), 2), bool))


def _resized(sizes: np.ndarray, shorter: int) -> np.ndarray:
    return (shorter * sizes / sizes.min(1, keepdims=True)).astype(np.int64)


def _whole(sizes: np.ndarray) -> np.ndarray:
    return np.hstack([np.zeros_like(sizes), sizes])
