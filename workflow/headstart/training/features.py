"""Features of the frozen backbone, computed once.

Pooled, for every view; of every stage; or what the first trained layer of a strategy receives.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import nn
from tqdm import tqdm

from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.experiment.config import Transform
from headstart.models import backbones, layers, layouts, prefix
from headstart.views import augmentation, pixels
from headstart.views.batches import Normalizer, consecutive, image_batches

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
    layers.detach_head(model)
    folded = layouts.fold_norms(model.eval(), description["image"]["size"])
    model = layouts.place(folded, device)
    normalize = Normalizer(description["image"], device)
    rows = np.arange(len(cache))
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(description["image"])
    drawn = augmentation.training_transform(transforms, description["image"])
    images = pixels.place(cache, [plain, drawn], device)
    partial = output.with_suffix(".partial")
    shape = (views, len(cache), description["num_features"])
    features = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    with (
        torch.inference_mode(),
        layouts.autocast(device),
        tqdm(total=views * len(cache), unit="img", desc="features", disable=None) as bar,
    ):
        for view in range(views):
            transform = plain if view == 0 else drawn
            batches = image_batches(images, rows, order, transform, normalize, [_VIEW_SEED, view])
            for positions, batch in zip(order, batches, strict=True):
                features[view, positions] = model(batch).float().cpu().numpy()
                bar.update(len(positions))
    features.flush()
    partial.replace(output)
    logger.info("features of %d images, %d views, %d values each", shape[1], views, shape[2])


def extract_prefix(
    cache: ImageCache,
    description: dict[str, Any],
    weights: Path,
    stages: int,
    device: devices.Device,
    output: Path,
) -> None:
    """Write what the last stages receive for the plain view: float32 (1, n, ...).

    Rows are in the order of the cache. Where the backbone cannot be cut there, the file holds an
    empty array, and training goes through the whole network.
    """
    model = backbones.build(description, num_classes=2, weights_path=weights, seed=0).eval()
    trained = prefix.trained_names(model, stages)
    if prefix.tail(model, trained, description["image"]["size"]) is None:
        logger.warning("%s cannot be cut into parts: nothing is cached", description["name"])
        np.save(output, np.empty(0, np.float32))
        return
    model = layouts.place(model, device)
    partial = output.with_suffix(".partial")
    maps: np.ndarray | None = None
    with layouts.autocast(device):
        for positions, images in _plain_batches(cache, description, device, "frozen part"):
            received = prefix.received(model, trained, images).float().cpu().numpy()
            if maps is None:
                shape = (1, len(cache), *received.shape[1:])
                maps = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
            maps[0, positions] = received
    partial.replace(output)
    logger.info("%d images before the last %d stages", len(cache), stages)


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
    model = layouts.place(model, device).eval()
    parts: list[list[np.ndarray]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), layouts.autocast(device):
        for _, images in _plain_batches(cache, description, device, "stages"):
            outputs = stage_outputs(model, images)
            parts.append([_averaged(output).float().cpu().numpy() for output in outputs])
    for number, arrays in enumerate(zip(*parts, strict=True), start=1):
        np.save(folder / f"stage-{number}.npy", np.concatenate(arrays))
    (folder / "ids.txt").write_text("".join(f"{image}\n" for image in cache.ids))
    logger.info("features of %d images at %d stages", len(cache), len(parts[0]))


def _plain_batches(
    cache: ImageCache, description: dict[str, Any], device: devices.Device, what: str
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Positions in the cache and the images there as evaluation sees them, under a progress bar."""
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(description["image"])
    normalize = Normalizer(description["image"], device)
    batches = image_batches(cache, np.arange(len(cache)), order, plain, normalize)
    bar = tqdm(batches, what, len(order), unit="batch", disable=None)
    yield from zip(order, bar, strict=True)


def stage_outputs(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What each stage hands on for a batch: what the next one's first layer receives.

    The last stage hands pooled features (n, d) to the head.
    """
    stages = layers.stages(model)
    owner = {name: index for index, names in enumerate(stages) for name in names}
    head = layers.head_name(model)
    received: dict[int, torch.Tensor] = {}

    def keep(index: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            received.setdefault(index, inputs[0])

        return hook

    hooks = []
    for path, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(prefix=path, recurse=False)]
        index = len(stages) if path == head else owner.get(own[0]) if own else None
        if index:
            hooks.append(module.register_forward_pre_hook(keep(index)))
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [received[index] for index in sorted(received)]


def _averaged(output: torch.Tensor) -> torch.Tensor:
    """Means over positions, (n, d): of maps (n, d, h, w) or of tokens (n, t, d)."""
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output
