"""Transforms of whole batches, each image with its own random parameters.

The same distributions and pixels as `augmentation`'s transforms of single images. Parameters
are drawn on the CPU, so that they do not depend on where the images are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from headstart.compute import devices
from headstart.experiment.config import Transform
from headstart.views.pixels import Frames

if TYPE_CHECKING:
    from headstart.views.pixels import Pixels

    Framing = Callable[[np.ndarray, np.random.Generator], Frames]
    Step = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]

_ATTEMPTS = 10
_FLIPS = ("vertical_flip", "horizontal_flip")


@dataclass(frozen=True)
class Batched:
    """Cuts a batch of views out of cached images and applies the other transforms to it.

    `flips` are the probabilities of a flip up and down, left and right. Flips are part of the
    cut wherever they stand in the policy: in distribution they commute with all else in it.
    """

    framing: "Framing"
    flips: tuple[float, float]
    steps: "tuple[Step, ...]"
    interpolation: str

    def __call__(
        self, images: "Pixels", rows: np.ndarray, rng: np.random.Generator
    ) -> torch.Tensor:
        """uint8 views (len(rows), 3, size, size), on the device of the images."""
        frames = self.framing(images.sizes(rows), rng)
        frames = replace(frames, flips=rng.random((len(rows), 2)) < self.flips)
        views = images.cut(rows, frames, self.interpolation)
        for step in self.steps:
            views = step(views, rng)
        return views


def build(transforms: Sequence[Transform], image: dict[str, Any]) -> Batched | None:
    """The batched form of a policy, None if it has none.

    Only flips may precede a crop: other transforms would work on images of different sizes.

    Args:
        transforms: the policy without mixing.
        image: the "image" part of backbone/config.json.
    """
    framing: Framing = partial(centred, image=image)
    cropped = False
    flips = dict.fromkeys(_FLIPS, 0.0)
    steps: list[Step] = []
    for transform in transforms:
        parameters = dict(transform.parameters)
        if transform.name in _CROPS and not cropped and not steps:
            cropped = True
            framing = partial(_CROPS[transform.name], image=image, **parameters)
        elif transform.name in flips:
            p, q = flips[transform.name], parameters["p"]
            flips[transform.name] = p * (1 - q) + q * (1 - p)
        elif transform.name in _STEPS:
            steps.append(partial(_STEPS[transform.name], **parameters))
        else:
            return None
    vertical, horizontal = (flips[name] for name in _FLIPS)
    return Batched(framing, (vertical, horizontal), tuple(steps), image["interpolation"])


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


_CROPS: dict[str, Callable[..., Frames]] = {
    "random_crop": random_crop,
    "random_resized_crop": random_resized_crop,
}
_STEPS: dict[str, Callable[..., torch.Tensor]] = {
    "color_jitter": color_jitter,
    "rotation": rotation,
}
_ADJUSTMENTS = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}
