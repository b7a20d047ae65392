"""Full fine-tuning at 224 px: images per second, batches and their augmentation included.

headstart's rate is what `loop.fit` itself reports for an epoch; the tutorial's is that of its
loop over as many batches. Validation and checkpoints are in neither. The ceiling is `loop.fit`
on batches that are on the device already, so that the step alone is left. parity.py is the guard:
what is learnt this way.
"""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import baseline
import measuring
import numpy as np
import torch
import trainings
from material import CROP, IMAGE, Photographs, photographs, strategy
from table import RATE, Row, compared

from headstart.compute import devices
from headstart.models import backbones, layers, layouts
from headstart.views.batches import Batches

BATCH = 32
BARS = {"resnet18": 2.2, "tf_efficientnet_lite0": 3.0}
CEILING_BAR = 0.93
_PHASE = {"epochs": 1, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9}


def rows(folder: Path, quick: bool) -> list[Row]:
    steps, repeats = (2, 2) if quick else (4, 5)
    pictures = photographs(folder, BATCH * steps)
    return [row for name in BARS for row in _network_rows(pictures, name, steps, repeats)]


def _network_rows(pictures: Photographs, name: str, steps: int, repeats: int) -> list[Row]:
    with (
        measuring.process(measuring.HEADSTART) as headstart,
        measuring.process(measuring.TUTORIAL) as tutorial,
    ):
        rates = measuring.interleaved(
            {
                "headstart": lambda: headstart.run(headstart_rate, pictures, name, BATCH),
                "tutorial": lambda: tutorial.run(tutorial_rate, pictures, name, BATCH),
                "ceiling": lambda: headstart.run(ceiling_rate, name, steps, BATCH),
            },
            repeats,
        )
    ours = rates["headstart"]
    above, below = f"full fine-tuning, {name}", f"training over the step's ceiling, {name}"
    return [
        compared(f"{above}, 224 px", ours, rates["tutorial"], BARS[name], RATE),
        compared(below, ours, rates["ceiling"], CEILING_BAR, RATE, "synthetic"),
    ]


class Synthetic:
    """Batches that are there before the epoch begins: the same random images in every step."""

    def __init__(self, size: int, batch_size: int, steps: int, device: devices.Device) -> None:
        self.sizes, self.resident = [batch_size] * steps, True
        images = torch.randn(batch_size, 3, size, size, device=device.type)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.targets = torch.arange(batch_size, device=device.type) % 2

    def train(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in self.sizes:
            yield self.images, self.targets

    def val(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield self.images[:2], self.targets[:2]


def headstart_rate(pictures: Photographs, name: str, batch_size: int) -> float:
    device = devices.open_device("auto", torch.get_num_threads())
    cache, labels = pictures.open()
    positions = np.arange(len(cache))
    chosen = trainings.examples(labels, positions, positions[:2])
    shown = strategy(_PHASE, CROP, batch_size=batch_size)
    batches = trainings.image_batches(cache, chosen, shown, IMAGE, device)
    return fit(name, batches, device)[-1]["images_per_second"]


def ceiling_rate(name: str, steps: int, batch_size: int) -> float:
    device = devices.open_device("auto", torch.get_num_threads())
    batches = Synthetic(IMAGE["size"], batch_size, steps, device)
    return fit(name, batches, device)[-1]["images_per_second"]


def fit(
    name: str, batches: Batches, device: devices.Device, phase: dict[str, Any] = _PHASE
) -> list[dict[str, float]]:
    """The history of a fine-tuning of a new model, two classes, all layers."""
    torch.manual_seed(0)
    whole = backbones.create(name, "timm", 2)
    model = layouts.place(whole, device, whole.get_submodule(layers.head_name(whole)))
    return trainings.fit(model, batches, strategy(phase, CROP), device).history


def tutorial_rate(
    pictures: Photographs,
    name: str,
    batch_size: int,
    device: str = "cpu",
    workers: int = 0,
    steps: int | None = None,
) -> float:
    network = baseline.model(name).to(device)
    optimizer = baseline.optimizer(network)
    batches = baseline.loader(pictures.files, IMAGE["size"], batch_size, baseline.CROP, workers)
    started = time.perf_counter()
    seen = baseline.train(network, optimizer, islice(batches, steps), device=device)
    return seen / (time.perf_counter() - started)
