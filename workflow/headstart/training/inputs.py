"""What a run trains: its examples, its model and the batches that the model sees."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.compute import devices
from headstart.data import splits
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.models import layouts
from headstart.provenance import RunName
from headstart.training.checkpoints import Progress

if TYPE_CHECKING:
    from torch import nn

    from headstart.views.batches import Batches


@dataclass(frozen=True)
class TrainingFiles:
    """What a training reads. There is no test image's label among it.

    `features` and `features_meta` are None for a strategy that trains from images.
    """

    backbone: Path
    weights: Path
    train_val: Path
    classes: Path
    images: Path
    index: Path
    tracking: Path
    features: Path | None = None
    features_meta: Path | None = None


@dataclass(frozen=True)
class Examples:
    """The training and validation images of a run: cache rows and class indices by part."""

    classes: list[str]
    split_hash: str
    frame: pd.DataFrame
    rows: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]


def read_examples(files: TrainingFiles, cache: ImageCache, name: RunName) -> Examples:
    classes = json.loads(files.classes.read_text())
    frame = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    chosen = splits.take_fraction(frame[frame.split == "train"], name.fraction, name.seed)
    parts = {"train": chosen, "val": frame[frame.split == "val"]}
    index = {label: position for position, label in enumerate(classes)}
    return Examples(
        classes=classes,
        split_hash=splits.split_hash(frame),
        frame=pd.concat(list(parts.values()), ignore_index=True),
        rows={part: cache.positions(list(rows.id)) for part, rows in parts.items()},
        labels={part: rows.label.map(index).to_numpy(np.int64) for part, rows in parts.items()},
    )


def prepare(
    name: RunName,
    strategy: config.Strategy,
    files: TrainingFiles,
    cache: ImageCache,
    examples: Examples,
    description: dict[str, Any],
    device: devices.Device,
) -> tuple["nn.Module", "Batches"]:
    """The model to train and its batches: a head or last stages on features, or all on images."""
    from headstart.models import backbones, layers
    from headstart.training import strategies
    from headstart.views import augmentation, pixels
    from headstart.views.batches import FeatureBatches, ImageBatches, Normalizer

    settings = strategy.training
    n_classes = len(examples.classes)
    weights = files.weights if strategy.init == "pretrained" else None
    # "c", copy on write: torch warns of arrays that it may not write to
    features = np.load(files.features, mmap_mode="c") if files.features else np.empty(0)
    if features.size:
        model = _after_features(strategy, description, n_classes, files.weights, name.seed)
        head = model.get_submodule("head" if strategy.from_features else layers.head_name(model))
        return layouts.place(model, device, head), FeatureBatches(
            features,
            examples.rows,
            examples.labels,
            device,
            settings.batch_size,
            settings.sampling,
            name.seed,
        )
    xavier = strategy.init == "xavier"
    whole = backbones.build(description, n_classes, weights, name.seed, xavier)
    model = layouts.place(whole, device, whole.get_submodule(layers.head_name(whole)))
    image = description["image"]
    transforms = {
        "train": augmentation.training_transform(strategy.augmentation, image),
        "val": augmentation.evaluation_transform(image),
    }
    sizes = strategies.epoch_sizes(strategy, image["size"])
    if min(sizes) != image["size"]:
        backbones.require_size(model, description["name"], min(sizes), "phases.start_size")
    by_size = {
        size: augmentation.training_transform(
            strategy.augmentation, augmentation.resized(image, size)
        )
        for size in set(sizes)
    }
    return model, ImageBatches(
        pixels.place(cache, [*transforms.values(), *by_size.values()], device),
        examples.rows,
        examples.labels,
        transforms,
        Normalizer(image, device),
        settings.batch_size,
        settings.sampling,
        name.seed,
        workers=device.threads if device.type == "cuda" else 0,
        mixing=augmentation.batch_transforms(strategy.augmentation, n_classes),
        by_epoch=[by_size[size] for size in sizes],
    )


def _after_features(
    strategy: config.Strategy,
    description: dict[str, Any],
    n_classes: int,
    weights: Path,
    seed: int,
) -> "nn.Module":
    """What trains on cached features: the head, or the last stages with it."""
    import torch
    from torch import nn

    from headstart.models import backbones, layers, prefix

    if strategy.cached_stages is None:
        torch.manual_seed(seed)
        model = nn.Sequential()
        model.add_module("head", layers.new_head(description["num_features"], n_classes))
        return model
    whole = backbones.build(description, n_classes, weights, seed).eval()
    trained = prefix.trained_names(whole, strategy.cached_stages)
    tail = prefix.tail(whole, trained, description["image"]["size"])
    assert tail is not None  # there are no features of a backbone that cannot be cut
    return tail.train()


def whole_model(
    progress: Progress,
    strategy: config.Strategy,
    description: dict[str, Any],
    files: TrainingFiles,
    examples: Examples,
) -> "nn.Module":
    """The best epoch's model, backbone and head, in eval mode on the CPU."""
    from headstart.models import backbones, layers

    weights = files.weights if files.features is not None else None
    model = backbones.build(description, len(examples.classes), weights, seed=0)
    if strategy.from_features and files.features is not None:
        head = model.get_submodule(layers.head_name(model))
        head.load_state_dict({k.removeprefix("head."): v for k, v in progress.best_model.items()})
    else:  # after cached features the frozen part, which the weights hold, is missing
        model.load_state_dict(progress.best_model, strict=files.features is None)
    return model.eval()


def input_example(cache: ImageCache, examples: Examples, description: dict[str, Any]) -> np.ndarray:
    """Two normalised training images, float32 (2, 3, size, size)."""
    import torch

    from headstart.views import augmentation
    from headstart.views.batches import Normalizer

    transform = augmentation.evaluation_transform(description["image"])
    images = [torch.from_numpy(np.array(cache[int(row)])) for row in examples.rows["train"][:2]]
    stacked = torch.stack([transform(image.permute(2, 0, 1)) for image in images])
    cpu = devices.Device("cpu", "", "", "fp32", 1)
    return Normalizer(description["image"], cpu)(stacked).contiguous().numpy()
