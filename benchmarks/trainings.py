"""Trainings as the benchmarks run them: batches and `loop.fit` itself, without MLflow."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.experiment.config import Strategy
from headstart.training import loop
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import Batches, Examples, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader


def examples(labels: np.ndarray, train: np.ndarray, val: np.ndarray) -> Examples:
    """The images at these positions of the cache.

    Args:
        labels: class indices of all images, int64 (n,).
    """
    return Examples({"train": train, "val": val}, {"train": labels[train], "val": labels[val]})


def image_batches(
    cache: ImageCache,
    chosen: Examples,
    strategy: Strategy,
    image: dict[str, Any],
    device: Device,
    seed: int = 0,
) -> ImageBatches:
    """Batches read from the memory map, of the strategy's size and under its augmentation.

    Args:
        image: the preprocessing, as in backbone/config.json.
    """
    view = augmentation.training_transform(strategy.augmentation, image)
    policy = Policy([view], augmentation.evaluation_transform(image))
    reader = Reader(cache, Normalizer(image, device))
    settings = strategy.training
    sampling = Sampling(settings.batch_size, settings.sampling, seed)
    return ImageBatches(reader, chosen, policy, sampling)


def fit(
    model: nn.Module, batches: Batches, strategy: Strategy, device: Device, seed: int = 0
) -> Progress:
    """Train a model that is placed on the device, with cross-entropy."""
    loss = nn.functional.cross_entropy
    task = Task(model, loss, strategy.training, device, batches.resident)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(ResumeFile(Path(folder) / "resume.pt", ""))
        return loop.fit(task, batches, strategy, seed, journal)
