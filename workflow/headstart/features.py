"""Features of the frozen backbone, computed once: pooled for every view, or of every stage."""

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


def extract_stages(
    cache: ImageCache,
    description: dict[str, Any],
    weights: Path,
    device: devices.Device,
    folder: Path,
) -> None:
    """Write stage-1.npy, stage-2.npy, …: float32 (n, d_k), rows in the order of the cache.

    A stage's features are its output for the plain view, averaged over positions; the last
    stage's are the pooled features that the head receives.

    Args:
        description: the content of backbone/config.json.
        weights: safetensors file of the pretrained state dict.
    """
    model = backbones.build(description, num_classes=2, weights_path=weights, seed=0)
    model = devices.place(model, device).eval()
    rows = np.arange(len(cache))
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(description["image"])
    batches = image_batches(cache, rows, order, plain, Normalizer(description["image"], device))
    parts: list[list[np.ndarray]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), devices.autocast(device):
        for images in tqdm(batches, "stages", len(order), unit="batch", disable=None):
            outputs = backbones.stage_outputs(model, images)
            parts.append([_averaged(output).float().cpu().numpy() for output in outputs])
    for number, arrays in enumerate(zip(*parts, strict=True), start=1):
        np.save(folder / f"stage-{number}.npy", np.concatenate(arrays))
    (folder / "ids.txt").write_text("".join(f"{image}\n" for image in cache.ids))
    logger.info("features of %d images at %d stages", len(cache), len(parts[0]))


def _averaged(output: torch.Tensor) -> torch.Tensor:
    """Means over positions, (n, d): of maps (n, d, h, w) or of tokens (n, t, d)."""
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output
