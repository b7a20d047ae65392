"""Named transforms, composed in the order of the configuration.

A transform of one image works on a uint8 tensor (3, h, w) and draws from torch's global
generator, so that a seed decides the result; of whole batches, see `batched`. Training, the
sanity galleries and the feature views all call `training_transform`; evaluation calls
`evaluation_transform`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchvision.transforms import InterpolationMode, v2

from headstart.experiment.config import Transform
from headstart.views import batched

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class View:
    """A transform of one image to uint8 (3, size, size), and its batched form if there is one."""

    single: "Callable[[Tensor], Tensor]"
    batched: batched.Batched | None

    def __call__(self, image: "Tensor") -> "Tensor":
        return self.single(image)


#: Transforms that mix the images of a batch and make their targets soft.
MIXING = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


def batch_transforms(
    transforms: Sequence[Transform], num_classes: int
) -> "list[Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]":
    """The policy's mixing transforms, of images (n, 3, h, w) and class indices (n,).

    They return mixed images and targets (n, num_classes) that sum to 1: MixUp (Zhang et al.
    2018) and CutMix (Yun et al. 2019). Of several, each batch draws one.
    """
    mixing: list[Any] = [
        MIXING[transform.name](num_classes=num_classes, **dict(transform.parameters))
        for transform in transforms
        if transform.name in MIXING
    ]
    return [v2.RandomChoice(mixing)] if mixing else []


def flipped(images: "Tensor", flips: Sequence[str]) -> "Iterator[Tensor]":
    """The images (n, 3, h, w) under every combination of the flips, as they are first.

    Args:
        flips: some of horizontal and vertical.
    """
    axes = [{"horizontal": -1, "vertical": -2}[flip] for flip in flips]
    for count in range(len(axes) + 1):
        for chosen in itertools.combinations(axes, count):
            yield images.flip(chosen) if chosen else images


def evaluation_transform(image: dict[str, Any]) -> View:
    """The backbone's own resize and centre crop, to (3, size, size).

    Args:
        image: the "image" part of backbone/config.json.
    """
    return training_transform([], image)


def training_transform(transforms: Sequence[Transform], image: dict[str, Any]) -> View:
    """The augmentation policy, ending in (3, size, size).

    Without a random crop among the transforms, the picture is framed as in evaluation. Mixing
    transforms need a batch and are left to `batch_transforms`.
    """
    transforms = [transform for transform in transforms if transform.name not in MIXING]
    names = [transform.name for transform in transforms]
    if "random_resized_crop" in names:
        framing: list[v2.Transform] = []
    elif "random_crop" in names:
        framing = _resize(image)
    else:
        framing = [*_resize(image), v2.CenterCrop(image["size"])]
    single = v2.Compose([*framing, *(_build(transform, image) for transform in transforms)])
    return View(single, batched.build(transforms, image))


def resized(image: dict[str, Any], size: int) -> dict[str, Any]:
    """The same preprocessing for images of another size, pixels."""
    return image | {"size": size, "resize": round(image["resize"] * size / image["size"])}


def _resize(image: dict[str, Any]) -> list[v2.Transform]:
    return [v2.Resize(image["resize"], InterpolationMode(image["interpolation"]), antialias=True)]


def _build(transform: Transform, image: dict[str, Any]) -> v2.Transform:
    interpolation = InterpolationMode(image["interpolation"])
    p: dict[str, Any] = dict(transform.parameters)
    match transform.name:
        case "horizontal_flip":
            return v2.RandomHorizontalFlip(p["p"])
        case "vertical_flip":
            return v2.RandomVerticalFlip(p["p"])
        case "random_resized_crop":
            return v2.RandomResizedCrop(
                image["size"], p["scale"], p["ratio"], interpolation, antialias=True
            )
        case "random_crop":
            return v2.RandomCrop(image["size"], p["padding"], padding_mode="reflect")
        case "color_jitter":
            return v2.ColorJitter(**p)
        case "rotation":
            return v2.RandomRotation(p["degrees"], InterpolationMode.BILINEAR)
        case "rand_augment":
            return v2.RandAugment(p["operations"], p["magnitude"])
        case "trivial_augment":
            return v2.TrivialAugmentWide()
    raise ValueError(f"unknown transform {transform.name!r}")
