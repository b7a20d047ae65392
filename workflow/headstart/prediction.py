"""Class probabilities of a trained model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from headstart import augmentation, backbones, devices, training
from headstart.data.batches import Normalizer, consecutive, image_batches

if TYPE_CHECKING:
    from torch import nn

    from headstart.data.cache import ImageCache

_BATCH_SIZE = 64


def load_model(description: dict[str, Any], n_classes: int, path: Path) -> "nn.Module":
    """A run's model, in eval mode on the CPU.

    Args:
        description: the content of backbone/config.json.
        path: model.safetensors of the run.
    """
    from safetensors.torch import load_file

    model = backbones.create(description["name"], description["library"], n_classes)
    model.load_state_dict(load_file(path))
    return model.eval()


def probabilities(
    model: "nn.Module",
    cache: "ImageCache",
    ids: Sequence[str],
    image: dict[str, Any],
    loss: str,
    device: devices.Device,
) -> np.ndarray:
    """Class probabilities of cached images, float32 (len(ids), K), in the order of `ids`.

    Args:
        image: the "image" part of backbone/config.json.
        loss: the loss that the model was trained with; it decides softmax or sigmoid.
    """
    model = devices.place(model, device).eval()
    batches = image_batches(
        cache,
        cache.positions(ids),
        consecutive(len(ids), _BATCH_SIZE),
        augmentation.evaluation_transform(image),
        Normalizer(image, device),
    )
    with torch.inference_mode(), devices.autocast(device):
        parts = [training.probabilities(model(images).float(), loss).cpu() for images in batches]
    return torch.cat(parts).numpy()
