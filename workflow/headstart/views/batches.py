"""Batches for training and validation, from cached images or from cached features.

Order and augmentation of an epoch depend on (seed, epoch) alone, so that a resumed run sees
exactly the batches of an uninterrupted one, whatever the number of workers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from headstart.compute import devices, parallel
from headstart.views.augmentation import View
from headstart.views.reader import Reader, consecutive, mixed

if TYPE_CHECKING:
    Batch = tuple[torch.Tensor, torch.Tensor]


class Batches(Protocol):
    """What the training loop reads: input batches on the device with their class indices.

    `sizes` are the examples of each step of an epoch; `resident` says whether the whole set is on
    the device before the first. Where several processes train together,
    `train` yields this one's share of each step, `parallel.shard`.
    """

    sizes: list[int]
    resident: bool

    def train(self, epoch: int) -> Iterator["Batch"]: ...

    def val(self) -> Iterator["Batch"]: ...


@dataclass(frozen=True)
class Examples:
    """Training and validation images, "train" and "val" in both.

    Attributes:
        rows: int64 (n,), rows of the cache and of cached features.
        labels: int64 (n,), class indices.
    """

    rows: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]


@dataclass(frozen=True)
class Sampling:
    """How the batches of an epoch are drawn.

    Attributes:
        kind: uniform (a permutation) or balanced (with replacement, classes equally often).
    """

    batch_size: int
    kind: str
    seed: int

    def order(self, labels: np.ndarray, epoch: int) -> list[np.ndarray]:
        """Positions of one epoch's training examples, batch by batch.

        A last batch of a single example is dropped: BatchNorm cannot use it. So is one that has
        not an example for each of the processes that train together.

        Args:
            labels: int64 class indices, shape (n,).
        """
        rng = np.random.default_rng([self.seed, epoch])
        n = len(labels)
        if self.kind == "balanced":
            weights = 1.0 / np.bincount(labels)[labels]
            order = rng.choice(n, size=n, p=weights / weights.sum())
        else:
            order = rng.permutation(n)
        batches = [order[start : start + self.batch_size] for start in range(0, n, self.batch_size)]
        least = max(2, parallel.world())
        return batches[:-1] if len(batches) > 1 and len(batches[-1]) < least else batches

    def sizes(self, labels: np.ndarray) -> list[int]:
        """Examples of each step, the same in every epoch."""
        return [len(batch) for batch in self.order(labels, 0)]


@dataclass(frozen=True)
class Policy:
    """What a network is shown.

    Attributes:
        train: the view of each training epoch; the last one stays where there are more.
        val: that of validation.
        mixing: applied to each training batch; they may make its targets soft, (n, K).
    """

    train: Sequence[View]
    val: View
    mixing: "Sequence[Callable[[torch.Tensor, torch.Tensor], Batch]]" = ()

    def at(self, epoch: int) -> View:
        """The view of a training epoch, from 1."""
        return self.train[min(epoch, len(self.train)) - 1]


class ImageBatches:
    """Training and validation batches from the image cache."""

    def __init__(
        self, reader: Reader, examples: Examples, policy: Policy, sampling: Sampling
    ) -> None:
        self.reader, self.examples, self.policy, self.sampling = reader, examples, policy, sampling
        self.resident = reader.resident
        self.sizes = sampling.sizes(examples.labels["train"])

    def train(self, epoch: int) -> Iterator["Batch"]:
        seed = self.sampling.seed
        order = self.sampling.order(self.examples.labels["train"], epoch)
        shares = [parallel.shard(batch) for batch in order]
        batches = self._batches("train", shares, self.policy.at(epoch), [seed, epoch])
        if not self.policy.mixing:
            yield from batches
            return
        for step, (images, targets) in enumerate(batches):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mixed([seed, epoch, step, 3]))
                for mix in self.policy.mixing:
                    images, targets = mix(images, targets)
            yield images, targets

    def val(self) -> Iterator["Batch"]:
        order = consecutive(len(self.examples.rows["val"]), self.sampling.batch_size)
        yield from self._batches("val", order, self.policy.val, [0])

    def _batches(
        self, part: str, order: Sequence[np.ndarray], view: View, seed: Sequence[int]
    ) -> Iterator["Batch"]:
        images = self.reader.batches(self.examples.rows[part], order, view, seed)
        labels = self.examples.labels[part]
        for positions, batch in zip(order, images, strict=True):
            yield batch, devices.send(labels[positions], self.reader.device)


class FeatureBatches:
    """Training and validation batches from cached features, (views, n, d) or maps (1, n, ...).

    Each epoch shows each training image in one of its views, drawn anew; validation always
    sees the plain view. Vectors go to the device at once, maps stay in their file until needed.
    """

    def __init__(
        self, features: np.ndarray, examples: Examples, sampling: Sampling, device: devices.Device
    ) -> None:
        """The rows of `examples` are those of the second axis of `features`."""
        self.features, self.examples, self.sampling = features, examples, sampling
        self.device = device.type
        self.resident = features.ndim == 3
        self.vectors = torch.from_numpy(features[:]).to(self.device) if self.resident else None
        self.targets = {k: torch.tensor(v, device=self.device) for k, v in examples.labels.items()}
        self.sizes = sampling.sizes(examples.labels["train"])

    def train(self, epoch: int) -> Iterator["Batch"]:
        labels = self.examples.labels["train"]
        rng = np.random.default_rng([self.sampling.seed, epoch, 1])
        chosen = rng.integers(len(self.features), size=len(labels))
        for positions in self.sampling.order(labels, epoch):
            yield self._batch("train", chosen[positions], positions)

    def val(self) -> Iterator["Batch"]:
        most = max(self.sampling.batch_size, 256)
        for positions in consecutive(len(self.examples.rows["val"]), most):
            yield self._batch("val", np.zeros_like(positions), positions)

    def _batch(self, part: str, views: np.ndarray, positions: np.ndarray) -> "Batch":
        rows, targets = self.examples.rows[part][positions], self.targets[part][positions]
        if self.vectors is not None:
            return self.vectors[views, rows], targets
        maps = devices.send(np.asarray(self.features[views, rows]), self.device)
        if maps.ndim == 4:
            maps = maps.to(memory_format=torch.channels_last)
        return maps, targets
