"""Transforms of whole batches, each image with its own random parameters.

The same distributions and pixels as `augmentation`'s transforms of single images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from headstart.experiment.config import Transform
from headstart.views import changes, frames
from headstart.views.frames import Frames

if TYPE_CHECKING:
    from headstart.views.pixels import Pixels

    Framing = Callable[[np.ndarray, np.random.Generator], Frames]
    Step = Callable[[torch.Tensor, np.random.Generator], torch.Tensor]

_FLIPS = ("vertical_flip", "horizontal_flip")
_CROPS: dict[str, Callable[..., Frames]] = {
    "random_crop": frames.random_crop,
    "random_resized_crop": frames.random_resized_crop,
}
_STEPS: dict[str, Callable[..., torch.Tensor]] = {
    "color_jitter": changes.color_jitter,
    "rotation": changes.rotation,
}


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
        framed = self.framing(images.sizes(rows), rng)
        framed = replace(framed, flips=rng.random((len(rows), 2)) < self.flips)
        views = images.cut(rows, framed, self.interpolation)
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
    framing: Framing = partial(frames.centred, image=image)
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
