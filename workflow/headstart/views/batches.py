"""Batches for training and validation, from cached images or from cached features.

Order and augmentation of an epoch depend on (seed, epoch) alone, so that a resumed run sees
exactly the batches of an uninterrupted one, whatever the number of workers.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from headstart.compute import devices, parallel
from headstart.data.cache import ImageCache
from headstart.views.pixels import Mapped, Resident

if TYPE_CHECKING:
    from headstart.views.augmentation import View

    Batch = tuple[torch.Tensor, torch.Tensor]

_CACHED_VALUES = 1 << 18


class Batches(Protocol):
    """What `training.fit` reads: input batches on the device with their class indices.

    `sizes` are the examples of each step of an epoch; `resident` says whether the whole set is on
    the device before the first. Where several processes train together,
    `train` yields this one's share of each step, `parallel.shard`.
    """

    sizes: list[int]
    resident: bool

    def train(self, epoch: int) -> Iterator["Batch"]: ...

    def val(self) -> Iterator["Batch"]: ...


def epoch_order(
    labels: np.ndarray, batch_size: int, sampling: str, seed: int, epoch: int
) -> list[np.ndarray]:
    """Positions of one epoch's training examples, batch by batch.

    A last batch of a single example is dropped: BatchNorm cannot use it. So is one that has not
    an example for each of the processes that train together.

    Args:
        labels: int64 class indices, shape (n,).
        sampling: uniform (a permutation) or balanced (with replacement, classes equally often).
    """
    rng = np.random.default_rng([seed, epoch])
    n = len(labels)
    if sampling == "balanced":
        weights = 1.0 / np.bincount(labels)[labels]
        order = rng.choice(n, size=n, p=weights / weights.sum())
    else:
        order = rng.permutation(n)
    batches = [order[start : start + batch_size] for start in range(0, n, batch_size)]
    least = max(2, parallel.world())
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) < least else batches


def _draw(seed: Sequence[int]) -> int:
    """One well-mixed 63-bit seed from several numbers."""
    return int(np.random.default_rng(seed).integers(2**63))


class _Images(Dataset):
    """Transformed uint8 images of one pass; a batch's random draws are seeded by its content."""

    def __init__(
        self, images: Mapped | Resident, rows: np.ndarray, transform: "View", seed: Sequence[int]
    ) -> None:
        self.images, self.rows, self.transform, self.seed = images, rows, transform, seed

    def __getitems__(self, positions: np.ndarray) -> torch.Tensor:
        """uint8 tensor (len(positions), 3, size, size)."""
        seed = [*self.seed, int(positions[0])]
        rows = self.rows[positions]
        if self.transform.batched:
            return self.transform.batched(self.images, rows, np.random.default_rng(seed))
        assert isinstance(self.images, Mapped)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_draw(seed))
            return torch.stack([self.transform(self.images.one(row)) for row in rows])


def _as_is(batch: Any) -> Any:
    return batch


class Normalizer:
    """Turns uint8 images (n, 3, h, w) into normalised floats on the device, and back."""

    def __init__(self, image: dict[str, Any], device: devices.Device) -> None:
        self.device = device.type
        mean, std = (torch.tensor(image[key], device=self.device) for key in ("mean", "std"))
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        images = images.to(self.device, non_blocking=True).to(memory_format=torch.channels_last)
        n, _, height, width = images.shape
        lines = images.permute(0, 2, 3, 1).reshape(n * height, width * 3)
        made = torch.empty(lines.shape, device=self.device)
        scale, shift = self.scale.repeat(width), self.shift.repeat(width)
        # On the CPU, as many lines at a time as fit in the processor's own cache.
        count = len(lines) if self.device == "cuda" else max(1, _CACHED_VALUES // (3 * width))
        for source, target in zip(lines.split(count), made.split(count), strict=True):
            torch.addcmul(shift, target.copy_(source), scale, out=target)
        return made.view(n, height, width, 3).permute(0, 3, 1, 2)

    def undo(self, images: torch.Tensor) -> torch.Tensor:
        """The uint8 images (n, 3, h, w) behind normalised ones."""
        scale, shift = self.scale.view(3, 1, 1), self.shift.view(3, 1, 1)
        return ((images - shift) / scale).round().clamp(0, 255).to(torch.uint8)


def image_batches(
    images: ImageCache | Resident,
    rows: np.ndarray,
    order: Sequence[np.ndarray],
    transform: "View",
    normalize: Normalizer,
    seed: Sequence[int] = (0,),
    workers: int = 0,
) -> Iterator[torch.Tensor]:
    """Normalised batches (n, 3, size, size) of cached images, in the given order.

    Args:
        images: what `pixels.place` returns, or the cache itself.
        rows: cache rows, shape (n,); `order` holds positions in it.
        seed: decides the augmentation together with the batch's first position.
    """
    if isinstance(images, Resident):
        resident = _Images(images, rows, transform, seed)
        yield from map(normalize, map(resident.__getitems__, order))
        return
    loader = DataLoader(
        _Images(Mapped(images), rows, transform, seed),
        batch_sampler=order,  # type: ignore[arg-type]
        collate_fn=_as_is,
        num_workers=workers,
        pin_memory=normalize.device == "cuda",
    )
    yield from map(normalize, loader)


def consecutive(n: int, batch_size: int) -> list[np.ndarray]:
    """Positions 0 to n - 1 in batches."""
    return [np.arange(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


class ImageBatches:
    """Training and validation batches from the image cache."""

    def __init__(
        self,
        images: ImageCache | Resident,
        rows: dict[str, np.ndarray],
        labels: dict[str, np.ndarray],
        transforms: dict[str, "View"],
        normalize: Normalizer,
        batch_size: int,
        sampling: str,
        seed: int,
        workers: int = 0,
        mixing: "Sequence[Callable[[torch.Tensor, torch.Tensor], Batch]]" = (),
        by_epoch: "Sequence[View]" = (),
    ) -> None:
        """`images` are what `pixels.place` returns, or the cache itself.

        `rows`, `labels` and `transforms` each have a "train" and a "val" entry.

        `mixing` are applied to each training batch and may make its targets soft, (n, K).
        `by_epoch`, one per epoch, stand in for the training transform where images grow.
        """
        self.images, self.rows, self.labels, self.transforms = images, rows, labels, transforms
        self.normalize, self.batch_size, self.sampling = normalize, batch_size, sampling
        self.seed, self.workers, self.mixing, self.by_epoch = seed, workers, mixing, by_epoch
        self.resident = isinstance(images, Resident)
        self.sizes = [
            len(batch) for batch in epoch_order(labels["train"], batch_size, sampling, seed, 0)
        ]

    def train(self, epoch: int) -> Iterator["Batch"]:
        order = epoch_order(self.labels["train"], self.batch_size, self.sampling, self.seed, epoch)
        shares = [parallel.shard(batch) for batch in order]
        transform = self.by_epoch[epoch - 1] if self.by_epoch else self.transforms["train"]
        batches = self._batches("train", shares, transform, [self.seed, epoch])
        if not self.mixing:
            yield from batches
            return
        for step, (images, targets) in enumerate(batches):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_draw([self.seed, epoch, step, 3]))
                for mix in self.mixing:
                    images, targets = mix(images, targets)
            yield images, targets

    def val(self) -> Iterator["Batch"]:
        order = consecutive(len(self.rows["val"]), self.batch_size)
        yield from self._batches("val", order, self.transforms["val"], [0])

    def _batches(
        self,
        part: str,
        order: Sequence[np.ndarray],
        transform: "View",
        seed: Sequence[int],
    ) -> Iterator["Batch"]:
        images = image_batches(
            self.images,
            self.rows[part],
            order,
            transform,
            self.normalize,
            seed,
            self.workers,
        )
        for positions, batch in zip(order, images, strict=True):
            yield batch, devices.send(self.labels[part][positions], self.normalize.device)


class FeatureBatches:
    """Training and validation batches from cached features, (views, n, d) or maps (1, n, ...).

    Each epoch shows each training image in one of its views, drawn anew; validation always
    sees the plain view. Vectors go to the device at once, maps stay in their file until needed.
    """

    def __init__(
        self,
        features: np.ndarray,
        rows: dict[str, np.ndarray],
        labels: dict[str, np.ndarray],
        device: devices.Device,
        batch_size: int,
        sampling: str,
        seed: int,
    ) -> None:
        """`rows` (into the second axis of `features`) and `labels` have "train" and "val"."""
        self.device, self.labels, self.rows, self.features = device.type, labels, rows, features
        self.batch_size, self.sampling, self.seed = batch_size, sampling, seed
        vectors = features.ndim == 3
        self.vectors = torch.from_numpy(features[:]).to(self.device) if vectors else None
        self.resident = vectors
        self.targets = {k: torch.tensor(v, device=self.device) for k, v in labels.items()}
        self.sizes = [
            len(batch) for batch in epoch_order(labels["train"], batch_size, sampling, seed, 0)
        ]

    def train(self, epoch: int) -> Iterator["Batch"]:
        n = len(self.rows["train"])
        chosen = np.random.default_rng([self.seed, epoch, 1]).integers(len(self.features), size=n)
        order = epoch_order(self.labels["train"], self.batch_size, self.sampling, self.seed, epoch)
        for positions in order:
            yield self._batch("train", chosen[positions], positions)

    def val(self) -> Iterator["Batch"]:
        for positions in consecutive(len(self.rows["val"]), max(self.batch_size, 256)):
            yield self._batch("val", np.zeros_like(positions), positions)

    def _batch(self, part: str, views: np.ndarray, positions: np.ndarray) -> "Batch":
        rows, targets = self.rows[part][positions], self.targets[part][positions]
        if self.vectors is not None:
            return self.vectors[views, rows], targets
        maps = devices.send(np.asarray(self.features[views, rows]), self.device)
        if maps.ndim == 4:
            maps = maps.to(memory_format=torch.channels_last)
        return maps, targets
