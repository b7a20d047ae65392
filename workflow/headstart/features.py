"""Pooled features of the frozen backbone, computed once for every image and view."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from headstart import augmentation, backbones, devices
from headstart.config import Transform
from headstart.data.batches import Normalizer, consecutive, image_batches
from headstart.data.cache import ImageCache

logger = logging.getLogger(__name__)

_BATCH_SIZE = 64
_VIEW_SEED = 20


def extract(
    cache: ImageCache,
    description: dict[str, Any],
    weights: Path,
    transforms: Sequence[Transform],
    views: int,
    device: devices.Device,
    output: Path,
) -> None:
    """Write float32 features (views, n, d), rows in the order of the cache.

    View 0 shows each image as evaluation does, the others under draws of the augmentation
    policy. The backbone is in eval mode throughout.

    Args:
        description: the content of backbone/config.json.
        weights: safetensors file of the pretrained state dict.
        transforms: the augmentation policy.
    """
    model = backbones.build(description, num_classes=2, weights_path=weights, seed=0)
    backbones.detach_head(model)
    model = devices.place(model, device).eval()
    normalize = Normalizer(description["image"], device)
    rows = np.arange(len(cache))
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(description["image"])
    drawn = augmentation.training_transform(transforms, description["image"])
    partial = output.with_suffix(".partial")
    shape = (views, len(cache), description["num_features"])
    features = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    with (
        torch.inference_mode(),
        devices.autocast(device),
        tqdm(total=views * len(cache), unit="img", desc="features", disable=None) as bar,
    ):
        for view in range(views):
            transform = plain if view == 0 else drawn
            batches = image_batches(cache, rows, order, transform, normalize, [_VIEW_SEED, view])
            for positions, images in zip(order, batches, strict=True):
                features[view, positions] = model(images).float().cpu().numpy()
                bar.update(len(positions))
    features.flush()
    partial.replace(output)
    logger.info("features of %d images, %d views, %d values each", shape[1], views, shape[2])
