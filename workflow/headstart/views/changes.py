"""Changes of whole batches of views, each image with its own random parameters.

The same distributions and pixels as torchvision's transforms of single images. Parameters are
drawn on the CPU, so that they do not depend on where the images are.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from headstart.compute import devices


def rotation(views: torch.Tensor, rng: np.random.Generator, degrees: float) -> torch.Tensor:
    """Turn each image by an angle between -degrees and degrees, black where nothing is."""
    return rotated(views, _send(rng.uniform(-degrees, degrees, len(views)), views))


def color_jitter(views: torch.Tensor, rng: np.random.Generator, **widths: float) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue of each image, in an order of its own."""
    names = [name for name in _ADJUSTMENTS if widths.get(name)]
    n = len(views)
    order = rng.permuted(np.tile(np.arange(len(names)), (n, 1)), axis=1)
    factors = {name: jitter_factors(rng, n, name, widths[name]) for name in names}
    for turn in order.T:
        for number, name in enumerate(names):
            chosen = np.flatnonzero(turn == number)
            at, factor = _send(chosen, views), _send(factors[name][chosen], views)
            views[at] = _ADJUSTMENTS[name](views[at], factor.view(-1, 1, 1, 1))
    return views


def jitter_factors(rng: np.random.Generator, n: int, name: str, width: float) -> np.ndarray:
    """Factors of one adjustment, (n,): about 0 for hue, else about 1 and not negative."""
    if name == "hue":
        return rng.uniform(-width, width, n)
    return rng.uniform(max(0.0, 1 - width), 1 + width, n)


def rotated(views: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """Square images turned anticlockwise about their centres, bilinear.

    Args:
        degrees: angles, float32 (n,).
    """
    angle = degrees * (math.pi / 180)
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    theta = torch.stack([cosine, -sine, zero, sine, cosine, zero], dim=1).view(-1, 2, 3)
    with torch.autocast(views.device.type, enabled=False):
        grid = F.affine_grid(theta, list(views.shape), align_corners=False)
        covered = F.pad(views.float(), (0, 0, 0, 0, 0, 1), value=1.0)
        turned = F.grid_sample(covered, grid, align_corners=False)
    return (turned[:, :3] * turned[:, 3:]).round_().to(torch.uint8)


def brightness(views: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Images times a factor (n, 1, 1, 1)."""
    return _blend(views, 0.0, factor)


def contrast(views: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Images blended with the means of their grey values."""
    return _blend(views, _grey(views).mean((1, 2, 3), keepdim=True), factor)


def saturation(views: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Images blended with their grey values."""
    return _blend(views, _grey(views), factor)


def hue(views: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Images whose hue is turned by a share (n, 1, 1, 1) of the colour wheel."""
    rgb = views.float() / 255
    value, brightest = rgb.max(1, keepdim=True)
    spread = value - rgb.amin(1, keepdim=True)
    red, green, blue = rgb.split(1, dim=1)
    apart = torch.cat([green - blue, blue - red, red - green], dim=1).gather(1, brightest)
    sixth = apart / spread.clamp_min(1e-12) + 2 * brightest
    # each channel as a function of hue: A. R. Smith's hexcone, without its cases
    phase = torch.tensor([5.0, 3.0, 1.0], device=views.device).view(1, 3, 1, 1)
    k = (phase + sixth + 6 * turn).remainder(6)
    turned = value - spread * torch.minimum(k, 4 - k).clamp(0, 1)
    return (turned * (256 - 1e-3)).to(torch.uint8)


def _grey(views: torch.Tensor) -> torch.Tensor:
    red, green, blue = views.split(1, dim=1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114).floor_()


def _blend(views: torch.Tensor, other: torch.Tensor | float, factor: torch.Tensor) -> torch.Tensor:
    return (views * factor + other * (1 - factor)).clamp_(0, 255).to(torch.uint8)


def _send(array: np.ndarray, views: torch.Tensor) -> torch.Tensor:
    """An array beside the images; floats as float32."""
    single = array.astype(np.float32) if array.dtype == np.float64 else array
    return devices.send(single, views.device.type)


_ADJUSTMENTS = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}
