"""Pooled features of the frozen backbone, computed once for every view of every image."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from headstart import disk, provenance
from headstart.compute import devices, memory
from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.experiment.config import Transform
from headstart.models import backbones, layers, layouts
from headstart.models.backbones import Prepared
from headstart.views import augmentation
from headstart.views.reader import Normalizer, Reader, consecutive, place

logger = logging.getLogger(__name__)

_BATCH_SIZE = 64
_VIEW_SEED = 20


def extract(
    cache: ImageCache,
    backbone: Prepared,
    transforms: Sequence[Transform],
    views: int,
    device: Device,
    output: Path,
) -> None:
    """Write float32 features (views, n, d), rows in the order of the cache.

    View 0 shows each image as evaluation does, the others under draws of the augmentation
    policy `transforms`. The backbone is in eval mode throughout.
    """
    model = _body(backbone, device)
    rows = np.arange(len(cache))
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(backbone.image)
    drawn = augmentation.training_transform(transforms, backbone.image)
    reader = Reader(place(cache, [plain, drawn], device), Normalizer(backbone.image, device))
    partial = output.with_suffix(".partial")
    shape = (views, len(cache), backbone.description["num_features"])
    features = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
    disk.reserve(partial, partial.stat().st_size)
    with (
        torch.inference_mode(),
        layouts.autocast(device),
        tqdm(total=views * len(cache), unit="img", desc="features", disable=None) as bar,
    ):
        for number in range(views):
            view = plain if number == 0 else drawn
            batches = reader.batches(rows, order, view, [_VIEW_SEED, number])
            for positions, batch in zip(order, batches, strict=True):
                features[number, positions] = model(batch).float().cpu().numpy()
                bar.update(len(positions))
    features.flush()
    partial.replace(output)
    logger.info("features of %d images, %d views, %d values each", shape[1], views, shape[2])


def extract_flipped(
    cache: ImageCache,
    ids: Sequence[str],
    backbone: Prepared,
    flips: Sequence[str],
    device: Device,
    output: Path,
) -> None:
    """Write the features by which images are tested: float32 (flips, len(ids), d).

    Args:
        flips: the first axis is all their combinations, the image as it is first.
    """
    model = _body(backbone, device)
    order = consecutive(len(ids), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(backbone.image)
    reader = Reader(cache, Normalizer(backbone.image, device))
    batches = reader.batches(cache.positions(ids), order, plain)
    parts = []
    with torch.inference_mode(), layouts.autocast(device):
        for images in tqdm(batches, "test features", len(order), unit="batch", disable=None):
            views = augmentation.flipped(images, flips)
            parts.append(torch.stack([model(view).float() for view in views]).cpu().numpy())
    np.save(output, np.concatenate(parts, axis=1))


def _body(backbone: Prepared, device: Device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The backbone without its head, in the form that infers fastest."""
    model = backbones.build(backbone, num_classes=2)
    layers.detach_head(model)
    model = layouts.place(layouts.fold_norms(model.eval(), backbone.image["size"]), device)
    return memory.inferring(model, memory.Parts(device))


@contextlib.contextmanager
def costed(meta: Path, features: Path, views: int, device: Device) -> Iterator[None]:
    """Note what the features made inside cost and their hash, for the runs that train on them."""
    started, spent = time.perf_counter(), devices.seconds_spent(device)
    yield
    record = {
        "seconds": time.perf_counter() - started,
        "device_seconds": devices.seconds_spent(device) - spent,
        "views": views,
        "device": str(device),
        "sha256": provenance.file_hash(features),
    }
    meta.write_text(json.dumps(record, indent=2) + "\n")


def plain_batches(
    cache: ImageCache, backbone: Prepared, device: Device, what: str
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Positions in the cache and the images there as evaluation sees them, under a progress bar."""
    order = consecutive(len(cache), _BATCH_SIZE)
    plain = augmentation.evaluation_transform(backbone.image)
    reader = Reader(cache, Normalizer(backbone.image, device))
    batches = reader.batches(np.arange(len(cache)), order, plain)
    bar = tqdm(batches, what, len(order), unit="batch", disable=None)
    yield from zip(order, bar, strict=True)
