"""An exported model, which stands alone: ONNX Runtime and NumPy run it, without torch."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import HeadstartError, classification
from headstart.data.cache import ImageCache
from headstart.data.decoding import Ranges
from headstart.delivery import resizing
from headstart.views import frames

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: Names of the file's metadata properties, each of them JSON.
CLASSES, PREPROCESSING, ORIGIN = "classes", "preprocessing", "origin"
_BATCH_SIZE = 32
_ERRORS = 3  # ONNX Runtime's level of log lines, so that it keeps quiet about absent GPUs


@dataclass(frozen=True)
class Exported:
    """An ONNX file and what its input and output mean.

    `image` is the preprocessing, as in backbone/config.json, and `ranges` say from where to where
    pictures of more than 8 bits are scaled.
    """

    session: "InferenceSession"
    classes: list[str]
    image: dict[str, Any]
    ranges: Ranges

    @staticmethod
    def read(path: Path) -> "Exported":
        """Open a file that `headstart export` wrote, on the CPU.

        Raises:
            HeadstartError: there is no such file, or it is another's.
        """
        import onnxruntime

        if not path.is_file():
            raise HeadstartError(f"{path}: no such file; headstart export writes it")
        onnxruntime.set_default_logger_severity(_ERRORS)
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a dozen types, with Exception in common
            reason = " ".join(str(error).split())[:160]
            raise HeadstartError(f"{path}: ONNX Runtime cannot read it ({reason})") from None
        found = session.get_modelmeta().custom_metadata_map
        if not {CLASSES, PREPROCESSING} <= found.keys():
            raise HeadstartError(
                f"{path}: has no metadata {CLASSES!r} and {PREPROCESSING!r}, so that nobody can "
                "tell what it takes and gives; make it with headstart export"
            )
        image = json.loads(found[PREPROCESSING])
        ranges = {depth: (low, high) for depth, (low, high) in image.pop("ranges").items()}
        return Exported(session, json.loads(found[CLASSES]), image, ranges)

    def classify(self, paths: Sequence[Path]) -> classification.Predictions:
        """Class probabilities of those image files that can be read."""
        model = classification.Model(self.classes, self.image, self.ranges, self.score)
        return classification.classify(model, paths, len(os.sched_getaffinity(0)))

    def score(self, cache: ImageCache) -> np.ndarray:
        """Class probabilities of the cached images, float32 (n, K)."""
        parts = []
        for start in range(0, len(cache), _BATCH_SIZE):
            positions = range(start, min(start + _BATCH_SIZE, len(cache)))
            views = np.stack([view(cache[position], self.image) for position in positions])
            parts.append(self.probabilities(normalized(views, self.image)))
        return np.concatenate(parts)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities float32 (n, K) of normalised images float32 (n, 3, size, size)."""
        [found] = self.session.run(None, {"images": images})
        return np.asarray(found)


def view(pixels: np.ndarray, image: dict[str, Any]) -> np.ndarray:
    """What evaluation sees of an image, uint8 (size, size, 3): resized, then its centre.

    Args:
        pixels: uint8 (height, width, 3).
        image: the preprocessing.
    """
    sizes = np.array([pixels.shape[:2]], dtype=np.int64)
    frame = frames.centred(sizes, np.random.default_rng(), image)
    height, width = frame.resized[0].tolist()
    pixels = resizing.resize(pixels, (height, width), image["interpolation"])
    return pixels[frame.shown(0)[0]][:, frame.shown(1)[0]]


def normalized(views: np.ndarray, image: dict[str, Any]) -> np.ndarray:
    """Images float32 (n, 3, size, size) of uint8 views (n, size, size, 3)."""
    mean, std = (np.array(image[key], np.float32) for key in ("mean", "std"))
    scaled = (views.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
