"""A trained model as an ONNX file that needs nothing beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart import HeadstartError, prediction
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.delivery.exported import CLASSES, ORIGIN, PREPROCESSING, Exported
from headstart.models import calibration
from headstart.views import augmentation
from headstart.views.reader import Normalizer, Reader, consecutive

#: Of the standard operators; the exporter of torch 2.14 writes it without a conversion.
OPSET = 20
#: How far a probability may be from torch's.
TOLERANCE = 1e-4
_BATCH_SIZE = 32
_STEPS = (
    "upright RGB, transparency on white; the shorter side scaled down to cache_size where it is "
    "longer, then scaled to resize, both antialiased; the central size x size pixels; "
    "(pixel / 255 - mean) / std; channels first"
)


class Probabilities(nn.Module):
    """Normalised images (n, 3, size, size) to probabilities (n, K) as evaluation has them."""

    def __init__(self, classifier: prediction.Classifier) -> None:
        super().__init__()
        self.model, self.loss = classifier.model, classifier.loss
        self.flips, self.temperature = classifier.flips, classifier.temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # all views as one batch, so that the graph holds the network once
        views = list(augmentation.flipped(images, self.flips))
        logits = self.model(torch.cat(views)).unflatten(0, (len(views), -1))
        shares = prediction.mean_shares(logits, self.loss)
        if self.temperature == 1:
            return shares
        return ((shares + calibration.TINY).log() / self.temperature).softmax(1)


def write(classifier: prediction.Classifier, path: Path, origin: dict[str, Any]) -> None:
    """Write the model for batches of any length.

    Input `images`: normalised, float32 (batch, 3, size, size). Output `probabilities`: (batch, K).
    Metadata properties, as JSON: classes, preprocessing and origin.

    Args:
        origin: where the model comes from.

    Raises:
        HeadstartError: the network has a part that ONNX cannot express.
    """
    size = classifier.image["size"]
    try:
        program = torch.onnx.export(
            Probabilities(classifier).eval(),
            (torch.zeros(2, 3, size, size),),
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes=({0: "batch"},),
            opset_version=OPSET,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:160]
        name = type(classifier.model).__name__
        raise HeadstartError(f"{name} cannot be written as ONNX ({reason})") from None
    assert program is not None
    image = classifier.image | {"ranges": dict(classifier.ranges), "steps": _STEPS}
    told = {CLASSES: classifier.classes, PREPROCESSING: image, ORIGIN: origin}
    properties = {name: json.dumps(value, ensure_ascii=False) for name, value in told.items()}
    program.model.metadata_props.update(properties)
    program.save(path)


def parity(
    classifier: prediction.Classifier, exported: Exported, cache: ImageCache, ids: list[str]
) -> float:
    """The largest difference between the file's probabilities and torch's, over cached images.

    Raises:
        HeadstartError: it exceeds the tolerance, or is no number.
    """
    image = classifier.image
    batches = Reader(cache, Normalizer(image, devices.CPU)).batches(
        cache.positions(ids),
        consecutive(len(ids), _BATCH_SIZE),
        augmentation.evaluation_transform(image),
    )
    found = [exported.probabilities(np.ascontiguousarray(batch.numpy())) for batch in batches]
    expected = prediction.probabilities(classifier, cache, ids, devices.CPU)
    largest = float(np.abs(np.concatenate(found) - expected).max())
    if not largest < TOLERANCE:
        raise HeadstartError(
            f"the ONNX model's probabilities differ from torch's by up to {largest:.2g}, more than "
            f"{TOLERANCE:g}, on {len(ids)} test images: nothing was exported"
        )
    return largest
