"""Where in an image a network looked: Grad-CAM on its last feature map."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn


def maps(model: "nn.Module", images: "torch.Tensor", classes: np.ndarray) -> np.ndarray:
    """What speaks for a class, by place (Grad-CAM, Selvaraju et al. 2017).

    The channels of the last feature map are added up, each weighted by the mean slope of the
    class's score along it; what speaks against the class is cut off. Needs a network whose last
    map has places. A vision transformer ends in tokens that attention has mixed, so that the
    place of a token is not that of what it knows: it has no such map.

    Args:
        model: in eval mode.
        images: normalised, float32 (n, 3, side, side).
        classes: of each image, the class in question, int (n,).

    Returns:
        float32 (n, height, width), each map from 0 to 1; (n, 0, 0) without a feature map.
    """
    import torch

    with torch.enable_grad():
        logits, features = _watched(model, images.detach().requires_grad_())
        if features is None:
            return np.zeros((len(images), 0, 0), np.float32)
        chosen = logits[torch.arange(len(images)), torch.as_tensor(classes)].sum()
        (slopes,) = torch.autograd.grad(chosen, features)
    features, slopes = (_channels_first(each.detach()) for each in (features, slopes))
    found = (slopes.mean((2, 3), keepdim=True) * features).sum(1).clamp(min=0)
    highest = found.amax((1, 2), keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)
    return (found / highest).numpy()


def _watched(
    model: "nn.Module", images: "torch.Tensor"
) -> "tuple[torch.Tensor, torch.Tensor | None]":
    """Logits, and the last that was no vector on the way to them if it is a map, (n, C, h, w)."""
    import torch

    seen: list[torch.Tensor] = []

    def watch(module: "nn.Module", inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() > 2 and output[0, 0].numel() > 1:
            seen[:] = [output]

    hooks = [module.register_forward_hook(watch) for module in model.modules()]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, seen[0] if seen and seen[0].dim() == 4 else None


def _channels_first(features: "torch.Tensor") -> "torch.Tensor":
    """A map (n, C, h, w), which some networks hold as (n, h, w, C); images are square."""
    _, first, second, last = features.shape
    return features.permute(0, 3, 1, 2) if first == second != last else features
