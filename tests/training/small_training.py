"""Trainings of a second on 16-pixel images, and what their tests compare."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.provenance import RunName
from headstart.training import loop, losses
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import Batches, Examples, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader

SIZE, N, TRAINED = 16, 18, 12
IMAGE = {
    "size": SIZE,
    "resize": SIZE,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}
POLICY = [config.Transform("horizontal_flip", (("p", 0.5),))]
LP_FT = [
    {"train": "head", "epochs": 2, "lr": 0.05, "schedule": "one_cycle"},
    {"train": "all", "epochs": 3, "lr": 0.005, "head_lr_multiplier": 3, "schedule": "one_cycle"},
]
TIMES = {"seconds", "images_per_second"}


def run_name(strategy: str, fraction: float = 1.0, split: int = 0, seed: int = 0) -> RunName:
    return RunName("cells", strategy, fraction, split, seed)


class Interrupted(Exception):
    pass


class Dying(Journal):
    """A journal that dies right after it saved a certain epoch."""

    def __init__(self, resume: ResumeFile, stop_after: int) -> None:
        super().__init__(resume)
        self._stop_after = stop_after

    def _save(self, progress: Progress) -> None:
        super()._save(progress)
        if progress.epoch == self._stop_after:
            raise Interrupted


class Noise:
    """Two batches of noise."""

    sizes: ClassVar = [8, 8]
    resident = False

    def train(self, epoch: int):
        draws = torch.Generator().manual_seed(0)
        for size in self.sizes:
            images = torch.randn(size, 3, 64, 64, dtype=torch.float64, generator=draws)
            yield images, torch.arange(size) % 2

    def val(self):
        return self.train(0)


def small_model(seed: int = 0) -> nn.Module:
    """A body with BatchNorm, a dropout that draws random numbers, and a head."""
    torch.manual_seed(seed)
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(3, 4, 3, 2))
    model.add_module("norm", nn.BatchNorm2d(4))
    model.add_module("act", nn.ReLU())
    model.add_module("pool", nn.AdaptiveAvgPool2d(2))
    model.add_module("flat", nn.Flatten())
    model.add_module("drop", nn.Dropout(0.3))
    model.add_module("fc", nn.Linear(16, 2))
    return model


def image_batches(cache: ImageCache, device: Device, seed: int = 0) -> ImageBatches:
    rows = {"train": np.arange(TRAINED), "val": np.arange(TRAINED, N)}
    examples = Examples(rows, {part: positions % 2 for part, positions in rows.items()})
    policy = Policy(
        train=[augmentation.training_transform(POLICY, IMAGE)],
        val=augmentation.evaluation_transform(IMAGE),
    )
    reader = Reader(cache, Normalizer(IMAGE, device))
    return ImageBatches(reader, examples, policy, Sampling(4, "uniform", seed))


def fit(
    batches: Batches,
    strategy: config.Strategy,
    device: Device,
    resume: Path,
    *,
    stop_after: int = 0,
    seed: int = 0,
    model: nn.Module | None = None,
    kind: type[Task] = Task,
) -> tuple[nn.Module, Progress]:
    """Train a small model; with `stop_after`, die right after that epoch was saved."""
    model = model or small_model(seed)
    loss = losses.loss_function(strategy.training, np.array([0, 1]), device)
    task = kind(model, loss, strategy.training, device, batches.resident)
    journal = Dying(ResumeFile(resume, "key"), stop_after)
    return model, loop.fit(task, batches, strategy, seed, journal)


def assert_same(one: tuple[nn.Module, Progress], other: tuple[nn.Module, Progress]) -> None:
    states = one[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    best = one[1].best_model, other[1].best_model
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    assert (one[1].epoch, one[1].best_epoch) == (other[1].epoch, other[1].best_epoch)
    histories = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in progress.history]
        for _, progress in (one, other)
    ]
    assert histories[0] == histories[1]
