"""Normalised batches of cached images on the device, in any order.

Where a job reads its images is decided in `place`, and nowhere else.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.views.augmentation import View
from headstart.views.pixels import Mapped, Resident

logger = logging.getLogger(__name__)

_SHARE = 0.4  # of the free device memory; the rest is for the model and its activations
_CACHED_VALUES = 1 << 18


def place(
    cache: ImageCache, views: Iterable[View], device: devices.Device
) -> ImageCache | Resident:
    """The images, on the device if they fit and the views are batched, else to be streamed.

    Says in the log which, and whether augmentation works on whole batches.
    """
    batched = all(view.batched for view in views)
    need, free = cache.flat[0].nbytes, devices.free_memory_bytes(device)
    fits = need <= _SHARE * free
    where = "device-resident" if batched and fits else "streamed"
    how = "batched" if batched else "per-image"
    why = ""
    if free and batched and not fits:
        why = f" ({need / 1e6:,.0f} MB exceed {_SHARE:.0%} of the {free / 1e6:,.0f} MB free)"
    logger.info("images: %s, %s augmentation%s", where, how, why)
    return Resident(cache, device) if batched and fits else cache


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


@dataclass(frozen=True)
class Reader:
    """Reads images by their rows in the cache.

    Attributes:
        images: what `place` returns, or the cache itself.
        workers: processes that read ahead where images are streamed; 0 for none.
    """

    images: ImageCache | Resident
    normalize: Normalizer
    workers: int = 0

    @property
    def resident(self) -> bool:
        """Whether all images are on the device."""
        return isinstance(self.images, Resident)

    @property
    def device(self) -> str:
        return self.normalize.device

    def batches(
        self,
        rows: np.ndarray,
        order: Sequence[np.ndarray],
        view: View,
        seed: Sequence[int] = (0,),
    ) -> Iterator[torch.Tensor]:
        """Normalised batches (n, 3, size, size), in the given order.

        Args:
            rows: cache rows, shape (n,); `order` holds positions in it.
            seed: decides the augmentation together with the batch's first position.
        """
        if isinstance(self.images, Resident):
            images = _Images(self.images, rows, view, seed)
            yield from map(self.normalize, map(images.__getitems__, order))
            return
        loader = DataLoader(
            _Images(Mapped(self.images), rows, view, seed),
            batch_sampler=order,  # type: ignore[arg-type]
            collate_fn=_as_is,
            num_workers=self.workers,
            pin_memory=self.device == "cuda",
        )
        yield from map(self.normalize, loader)


class _Images(Dataset):
    """uint8 views of one pass; a batch's random draws are seeded by its content."""

    def __init__(
        self, images: Mapped | Resident, rows: np.ndarray, view: View, seed: Sequence[int]
    ) -> None:
        self.images, self.rows, self.view, self.seed = images, rows, view, seed

    def __getitems__(self, positions: np.ndarray) -> torch.Tensor:
        """uint8 tensor (len(positions), 3, size, size)."""
        seed = [*self.seed, int(positions[0])]
        rows = self.rows[positions]
        if self.view.batched:
            return self.view.batched(self.images, rows, np.random.default_rng(seed))
        assert isinstance(self.images, Mapped)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed(seed))
            return torch.stack([self.view(self.images.one(row)) for row in rows])


def mixed(seed: Sequence[int]) -> int:
    """One well-mixed 63-bit seed from several numbers."""
    return int(np.random.default_rng(seed).integers(2**63))


def consecutive(n: int, batch_size: int) -> list[np.ndarray]:
    """Positions 0 to n - 1 in batches."""
    return [np.arange(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def _as_is(batch: Any) -> Any:
    return batch
