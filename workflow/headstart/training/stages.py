"""Features of every stage of the frozen backbone, for use outside the workflow."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.models import backbones, layers, layouts
from headstart.models.backbones import Prepared
from headstart.training.features import plain_batches

logger = logging.getLogger(__name__)


def extract(cache: ImageCache, backbone: Prepared, device: Device, folder: Path) -> None:
    """Write stage-1.npy, stage-2.npy, …: float32 (n, d_k), rows in the order of the cache.

    A stage's features are its output for the plain view, averaged over positions; the last
    stage's are the pooled features that the head receives.
    """
    model = layouts.place(backbones.build(backbone, num_classes=2), device).eval()
    parts: list[list[np.ndarray]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(), layouts.autocast(device):
        for _, images in plain_batches(cache, backbone, device, "stages"):
            outputs = stage_outputs(model, images)
            parts.append([_averaged(output).float().cpu().numpy() for output in outputs])
    for number, arrays in enumerate(zip(*parts, strict=True), start=1):
        np.save(folder / f"stage-{number}.npy", np.concatenate(arrays))
    (folder / "ids.txt").write_text("".join(f"{image}\n" for image in cache.ids))
    logger.info("features of %d images at %d stages", len(cache), len(parts[0]))


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
