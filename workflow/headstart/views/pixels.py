"""Views cut out of cached images, a batch at a time: from the memory map, or on the device."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.views.frames import Frames

_CHUNK = 1 << 24  # pixels uploaded at a time


class Pixels(Protocol):
    """Cached images by their rows in the cache."""

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        """(height, width) in pixels, int64 (n, 2)."""

    def cut(self, rows: np.ndarray, frames: Frames, interpolation: str) -> torch.Tensor:
        """Views, uint8 (n, 3, size, size), channels last in memory."""


class Mapped:
    """Images read from the memory map, one after the other."""

    def __init__(self, cache: ImageCache) -> None:
        self.cache = cache

    def one(self, row: int) -> torch.Tensor:
        """A whole image, uint8 (3, h, w)."""
        return torch.from_numpy(np.array(self.cache[row])).permute(2, 0, 1)

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        return self.cache.sizes[rows]

    def cut(self, rows: np.ndarray, frames: Frames, interpolation: str) -> torch.Tensor:
        views = torch.empty((len(rows), frames.size, frames.size, 3), dtype=torch.uint8)
        vertical, horizontal = frames.shown(0), frames.shown(1)
        resized = (frames.resized != frames.boxes[:, 2:]).any(1)
        for k, (row, view) in enumerate(zip(rows, views.numpy(), strict=True)):
            top, left, height, width = frames.boxes[k]
            box = self.cache[row][top : top + height, left : left + width]
            if resized[k]:
                box = _resize(box, frames.resized[k].tolist(), interpolation)
            _take(box, vertical[k], horizontal[k], view)
        for k, axes in enumerate(frames.flips):
            if axes.any():
                views[k] = views[k].flip(np.flatnonzero(axes).tolist())
        return views.permute(0, 3, 1, 2)


def _take(box: np.ndarray, rows: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """Copy rows and columns of an image, those that are not mirrored in one stretch."""
    lines = box[rows[0] : rows[-1] + 1]
    if len(lines) != len(rows):
        lines = box[rows]
    if columns[-1] - columns[0] == len(columns) - 1:
        out[:] = lines[:, columns[0] : columns[-1] + 1]
        return
    first, last = int(columns.argmin()), int(columns.argmax()) + 1
    out[:, first:last] = lines[:, columns[first] : columns[last - 1] + 1]
    for edge in (slice(0, first), slice(last, None)):
        if len(columns[edge]):
            out[:, edge] = lines[:, columns[edge]]


def _resize(box: np.ndarray, size: Sequence[int], interpolation: str) -> np.ndarray:
    image = torch.from_numpy(np.array(box)).permute(2, 0, 1)
    resized: torch.Tensor = F.resize(image, size, InterpolationMode(interpolation), antialias=True)
    return resized.permute(1, 2, 0).numpy()


class Resident:
    """All images on the device, as uint8; whole batches are cut and resized there."""

    def __init__(self, cache: ImageCache, device: devices.Device) -> None:
        pixels, starts = cache.flat
        self.device, self._sizes, self._starts = device.type, cache.sizes, starts
        self._pixels = torch.empty(pixels.T.shape, dtype=torch.uint8, device=self.device)
        for start in range(0, len(pixels), _CHUNK):
            part = torch.from_numpy(np.array(pixels[start : start + _CHUNK]))
            self._pixels[:, start : start + _CHUNK] = part.to(self.device).T

    def sizes(self, rows: np.ndarray) -> np.ndarray:
        return self._sizes[rows]

    def cut(self, rows: np.ndarray, frames: Frames, interpolation: str) -> torch.Tensor:
        boxes, size = self._send(frames.boxes), self._send(frames.resized)
        starts, widths = self._send(self._starts[rows]), self._send(self._sizes[rows, 1])
        wanted = [self._send(_flipped(frames, axis)) for axis in (0, 1)]
        plain = bool((frames.boxes[:, 2:] == frames.resized).all())
        if plain:
            shown = wanted
        else:
            lengths = frames.boxes[:, 2:].max(0)
            shown = [
                torch.arange(int(lengths[axis]), device=self.device).minimum(
                    boxes[:, 2 + axis, None] - 1
                )
                for axis in (0, 1)
            ]
        y, x = (boxes[:, axis, None] + shown[axis] for axis in (0, 1))
        index = (starts[:, None] + y * widths[:, None])[:, :, None] + x[:, None]
        images = self._pixels[:, index]
        if plain:
            return _channels_last(images)
        vertical, horizontal = (
            _taps(wanted[axis], boxes[:, 2 + axis], size[:, axis], shown[axis], interpolation)
            for axis in (0, 1)
        )
        # A half holds every pixel value; a CPU multiplies halves one by one.
        kind = torch.float16 if self.device == "cuda" else torch.float32
        with torch.autocast(self.device, enabled=False):
            views = vertical.to(kind) @ images.to(kind) @ horizontal.to(kind).mT
        return _channels_last(views.round_().clamp_(0, 255).to(torch.uint8))

    def _send(self, array: np.ndarray) -> torch.Tensor:
        return devices.send(array, self.device)


def _channels_last(planes: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, h, w) from their colours, (3, n, h, w)."""
    return planes.transpose(0, 1).contiguous(memory_format=torch.channels_last)


def _flipped(frames: Frames, axis: int) -> np.ndarray:
    shown = frames.shown(axis)
    return np.where(frames.flips[:, axis, None], shown[:, ::-1], shown)


def _taps(
    wanted: torch.Tensor,
    length: torch.Tensor,
    resized: torch.Tensor,
    shown: torch.Tensor,
    interpolation: str,
) -> torch.Tensor:
    """Weights of source pixels in resized ones, float32 (n, size, m), each row of sum 1.

    They are those of torch's antialiased kernels: a triangle (bilinear) or Keys' cubic with
    a = -0.5 (bicubic), stretched by the scale where that exceeds 1; nearest takes one pixel.

    Args:
        wanted: positions in the resized line, (n, size).
        length: pixels of the source line, (n,), `resized` those of the resized one.
        shown: positions in the source line, (n, m), beyond its end the last one again.
    """
    scale = (length / resized)[:, None, None]
    at = torch.arange(shown.shape[1], device=shown.device)
    if interpolation == "nearest":
        return ((wanted[:, :, None] * scale).floor() == at).float()
    centre = (wanted[:, :, None] + 0.5) * scale
    x = (at + 0.5 - centre).abs() / scale.clamp_min(1)
    if interpolation == "bilinear":
        weights = (1 - x).clamp_min(0)
    else:
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = torch.where(x < 1, near, torch.where(x < 2, far, 0))
    weights = weights * (at < length[:, None, None])
    return weights / weights.sum(2, keepdim=True)
