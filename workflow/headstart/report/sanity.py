"""Pictures of what training will see, through the very transforms that training uses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.experiment.config import Transform

if TYPE_CHECKING:
    import torch

    from headstart.data.cache import ImageCache

#: What each gallery shows; the experiment's own policy stands in for None.
GALLERIES: dict[str, Transform | None] = {
    "horizontal_flip": Transform("horizontal_flip", (("p", 0.5),)),
    "vertical_flip": Transform("vertical_flip", (("p", 0.5),)),
    "random_resized_crop": Transform(
        "random_resized_crop", (("ratio", (0.5, 2.0)), ("scale", (0.1, 1.0)))
    ),
    "brightness": Transform("color_jitter", (("brightness", 0.5),)),
    "contrast": Transform("color_jitter", (("contrast", 0.5),)),
    "hue": Transform("color_jitter", (("hue", 0.5),)),
    "color_jitter": Transform(
        "color_jitter",
        (("brightness", 0.5), ("contrast", 0.5), ("hue", 0.5), ("saturation", 0.5)),
    ),
    "rotation": Transform("rotation", (("degrees", 30.0),)),
    "rand_augment": Transform("rand_augment", (("magnitude", 9), ("operations", 2))),
    "policy": None,
}
_SHOWN = 8
_BATCH = 16
_PER_CLASS = 6


@dataclass(frozen=True)
class Data:
    """The tables and pictures of an experiment.

    Attributes:
        split: columns id, label and split of one split's images.
        image: the backbone's preprocessing.
    """

    manifest: pd.DataFrame
    split: pd.DataFrame
    cache: "ImageCache"
    image: dict[str, Any]


def draw(data: Data, policy: Sequence[Transform], folder: Path) -> None:
    """Write all sanity figures of an experiment with an augmentation policy into `folder`."""
    from headstart.report.figures import sanity as figures

    cache, image = data.cache, data.image
    train = data.split[data.split.split == "train"]
    sample = cache[int(cache.positions([train.id.iloc[0]])[0])]
    for name, transform in GALLERIES.items():
        transforms = policy if transform is None else [transform]
        title = ", ".join(t.name for t in policy) or "none" if transform is None else name
        title = f"Training policy: {title}" if transform is None else title.replace("_", " ")
        figures.gallery(views(sample, transforms, image), title, folder / f"gallery_{name}.png")
    by_class = {str(label): rows for label, rows in train.groupby("label", sort=True)}
    first, last = min(by_class), max(by_class)
    ends = {
        f"first of {first}": _pictures(cache, by_class[first].head(_SHOWN)),
        f"last of {last}": _pictures(cache, by_class[last].tail(_SHOWN)),
    }
    figures.class_grid(ends, folder / "ends.png", title="First and last training images")
    samples = {label: _pictures(cache, rows.head(_PER_CLASS)) for label, rows in by_class.items()}
    figures.class_grid(samples, folder / "class_grid.png")
    images, labels = batch(train, cache, image, policy)
    figures.batch(images, labels, folder / "batch.png")
    figures.class_counts(data.split, folder / "class_counts.png")
    usable = data.manifest[data.manifest.status == "ok"]
    figures.image_sizes(usable, folder / "image_sizes.png")


def views(
    sample: np.ndarray, transforms: Sequence[Transform], image: dict[str, Any]
) -> list[np.ndarray]:
    """One uint8 image (h, w, 3) as evaluation sees it, then seven draws of the transforms."""
    import torch

    from headstart.views import augmentation

    transform = augmentation.training_transform(transforms, image)
    plain = augmentation.evaluation_transform(image)
    picture = torch.from_numpy(np.array(sample)).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = [transform(picture) for _ in range(_SHOWN - 1)]
    return [_picture(tensor) for tensor in [plain(picture), *drawn]]


def batch(
    train: pd.DataFrame,
    cache: "ImageCache",
    image: dict[str, Any],
    policy: Sequence[Transform],
) -> tuple[list[np.ndarray], list[str]]:
    """The first images of a training epoch, put back from the normalised tensors."""
    from headstart.compute import devices
    from headstart.views import augmentation
    from headstart.views.batches import Sampling
    from headstart.views.reader import Normalizer, Reader

    codes, classes = pd.factorize(train.label, sort=True)
    order = Sampling(_BATCH, "uniform", seed=0).order(codes.astype(np.int64), epoch=1)[:1]
    normalize = Normalizer(image, devices.CPU)
    view = augmentation.training_transform(policy, image)
    rows = cache.positions(list(train.id))
    tensors = next(Reader(cache, normalize).batches(rows, order, view, [0, 1]))
    pictures = [_picture(tensor) for tensor in normalize.undo(tensors)]
    return pictures, [str(classes[codes[position]]) for position in order[0]]


def _pictures(cache: "ImageCache", rows: pd.DataFrame) -> list[np.ndarray]:
    return [cache[int(row)] for row in cache.positions(list(rows.id))]


def _picture(tensor: "torch.Tensor") -> np.ndarray:
    return tensor.permute(1, 2, 0).numpy()


def read_image_config(backbone: Path) -> dict[str, Any]:
    """The "image" part of backbone/config.json."""
    image: dict[str, Any] = json.loads(backbone.read_text())["image"]
    return image
