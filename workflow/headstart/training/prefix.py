"""What the frozen part of the backbone hands to the last stages, computed once."""

import functools
import logging
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from headstart import disk
from headstart.compute import memory
from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.models import backbones, layouts, tails
from headstart.models.backbones import Prepared
from headstart.training.features import plain_batches

logger = logging.getLogger(__name__)


def extract(
    cache: ImageCache, backbone: Prepared, stages: int, device: Device, output: Path
) -> None:
    """Write what the last stages receive for the plain view: float32 (1, n, ...).

    Rows are in the order of the cache. Where the backbone cannot be cut there, the file holds an
    empty array, and training goes through the whole network.
    """
    model = backbones.build(backbone, num_classes=2).eval()
    trained = tails.trained_names(model, stages)
    if tails.tail(model, trained, backbone.image["size"]) is None:
        name = backbone.description["name"]
        logger.warning("%s cannot be cut into parts: nothing is cached", name)
        np.save(output, np.empty(0, np.float32))
        return
    model = layouts.place(model, device)
    received = functools.partial(tails.received, model, trained)
    look = memory.inferring(received, memory.Parts(device))
    partial = output.with_suffix(".partial")
    maps: np.ndarray | None = None
    with layouts.autocast(device):
        for positions, images in plain_batches(cache, backbone, device, "frozen part"):
            batch = look(images).float().cpu().numpy()
            if maps is None:
                shape = (1, len(cache), *batch.shape[1:])
                maps = open_memmap(partial, mode="w+", dtype=np.float32, shape=shape)
                disk.reserve(partial, partial.stat().st_size)
            maps[0, positions] = batch
    partial.replace(output)
    logger.info("%d images before the last %d stages", len(cache), stages)
