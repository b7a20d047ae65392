"""What a run trains: its examples, its model and the batches that the model sees."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from headstart import provenance
from headstart.compute import devices
from headstart.compute.devices import Device
from headstart.data import splits
from headstart.data.cache import ImageCache
from headstart.experiment.config import Strategy
from headstart.models import backbones, layers, layouts, neighbours, tails
from headstart.models.backbones import Prepared
from headstart.training import adapted, losses, probes, strategies
from headstart.training.checkpoints import Progress
from headstart.training.jobs import Job
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import (
    Batches,
    Examples,
    FeatureBatches,
    ImageBatches,
    Policy,
    Sampling,
)
from headstart.views.reader import Normalizer, Reader, place


@dataclass(frozen=True)
class Inputs:
    """A run's job and what its files hold.

    Attributes:
        frame: columns id, label and split of the training and validation images.
    """

    job: Job
    device: Device
    backbone: Prepared
    cache: ImageCache
    classes: list[str]
    split_hash: str
    data_hash: str
    frame: pd.DataFrame
    examples: Examples

    @property
    def made_by(self) -> dict[str, Any]:
        """Everything that decides the run's result."""
        return provenance.made_by(
            self.job.name,
            self.job.strategy,
            self.backbone.description,
            {"split_hash": self.split_hash, "data_hash": self.data_hash},
            self.device,
        )


def read(job: Job, device: Device) -> Inputs:
    """Read a job's files; its name says which part of the training split it gets."""
    files, name = job.files, job.name
    cache = ImageCache.open(files.images, files.index)
    classes = json.loads(files.classes.read_text())
    frame = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    seen = of_run(frame, name)
    parts = {part: seen[seen.split == part] for part in ("train", "val")}
    job = replace(job, strategy=job.strategy.fitted(len(parts["train"])))
    index = {label: position for position, label in enumerate(classes)}
    meta = json.loads(files.features_meta.read_text()) if files.features_meta else {}
    return Inputs(
        job=job,
        device=device,
        backbone=Prepared.read(files.backbone, files.weights),
        cache=cache,
        classes=classes,
        split_hash=splits.split_hash(frame),
        data_hash=provenance.digest(
            [list(frame.label), cache.hashes(list(frame.id)), meta.get("sha256", "")]
        ),
        frame=seen,
        examples=Examples(
            {part: cache.positions(list(rows.id)) for part, rows in parts.items()},
            {part: rows.label.map(index).to_numpy(np.int64) for part, rows in parts.items()},
        ),
    )


def of_run(frame: pd.DataFrame, name: provenance.RunName) -> pd.DataFrame:
    """What a run sees of train_val.csv: its fraction of the training images, and validation."""
    chosen = splits.take_fraction(frame[frame.split == "train"], name.fraction, name.seed)
    return pd.concat([chosen, frame[frame.split == "val"]], ignore_index=True)


def prepare(inputs: Inputs) -> tuple[Task, Batches]:
    """What to train on which batches: a head or last stages on features, or all on images."""
    strategy, device = inputs.job.strategy, inputs.device
    settings = strategy.training
    sampling = Sampling(settings.batch_size, settings.sampling, inputs.job.name.seed)
    features = _features(inputs)
    batches: Batches
    if features.size:
        model = _after_features(inputs)
        name = "head" if strategy.from_features else layers.head_name(model)
        model = layouts.place(model, device, model.get_submodule(name))
        batches = FeatureBatches(features, inputs.examples, sampling, device)
        shape = features.shape[2:]
    else:
        n_classes, seed = len(inputs.classes), inputs.job.name.seed
        whole = backbones.build(inputs.backbone, n_classes, seed, strategy.init)
        head = whole.get_submodule(layers.head_name(whole))
        _start_head(inputs, head)
        model = layouts.place(whole, device, head)
        batches = _image_batches(inputs, model, sampling)
        shape = (3, *2 * [min(strategies.epoch_sizes(strategy, inputs.backbone.image["size"]))])
    layers.require_batch(model, strategy, shape, batches.sizes)
    loss = losses.loss_function(settings, inputs.examples.labels["train"], device)
    if any(phase.train in adapted.KINDS for phase in strategy.phases):
        adapted.require_layers(model, strategy)
        given = settings, device, batches.resident, inputs.job.name.seed
        return adapted.Adapted(model, loss, *given), batches
    return Task(model, loss, settings, device, batches.resident), batches


def _features(inputs: Inputs) -> np.ndarray:
    """Cached features; empty where there are none, or where the backbone could not be cut."""
    path = inputs.job.files.features
    # "c", copy on write: torch warns of arrays that it may not write to
    return np.load(path, mmap_mode="c") if path else np.empty(0)


def _after_features(inputs: Inputs) -> nn.Module:
    """What trains on cached features: the head, or the last stages with it."""
    backbone, seed = inputs.backbone, inputs.job.name.seed
    stages, n_classes = inputs.job.strategy.cached_stages, len(inputs.classes)
    if stages is None:
        torch.manual_seed(seed)
        model = nn.Sequential()
        head = layers.new_head(backbone.description["num_features"], n_classes)
        _start_head(inputs, head)
        model.add_module("head", head)
        return model
    whole = backbones.build(backbone, n_classes, seed).eval()
    tail = tails.tail(whole, tails.trained_names(whole, stages), backbone.image["size"])
    assert tail is not None  # there are no features of a backbone that cannot be cut
    return tail.train()


def _start_head(inputs: Inputs, head: nn.Module) -> None:
    """Give the head the weights of the fitted probe, where the strategy begins with one.

    That is lp_ft (Kumar et al. 2022): a new head would first distort the features below it.
    """
    strategy, files = inputs.job.strategy, inputs.job.files
    if strategy.starts_with_probe:
        path = files.probe_features or files.features
        assert path is not None
        features = np.load(path, mmap_mode="r")
        head.load_state_dict(probes.head(strategy, features, inputs.examples, inputs.job.name.seed))


def _image_batches(inputs: Inputs, model: nn.Module, sampling: Sampling) -> ImageBatches:
    device, image = inputs.device, inputs.backbone.image
    policy = _policy(inputs.job.strategy, image, len(inputs.classes))
    sizes = strategies.epoch_sizes(inputs.job.strategy, image["size"])
    if min(sizes) != image["size"]:
        name = inputs.backbone.description["name"]
        backbones.require_size(model, name, min(sizes), "phases.start_size")
    images = place(inputs.cache, [*policy.train, policy.val], device)
    workers = device.threads if device.type == "cuda" else 0
    reader = Reader(images, Normalizer(image, device), workers)
    return ImageBatches(reader, inputs.examples, policy, sampling)


def _policy(strategy: Strategy, image: dict[str, Any], n_classes: int) -> Policy:
    """The views of a strategy; images may grow from epoch to epoch."""
    sizes = strategies.epoch_sizes(strategy, image["size"])
    by_size = {
        size: augmentation.training_transform(
            strategy.augmentation, augmentation.resized(image, size)
        )
        for size in set(sizes)
    }
    return Policy(
        train=[by_size[size] for size in sizes],
        val=augmentation.evaluation_transform(image),
        mixing=augmentation.batch_transforms(strategy.augmentation, n_classes),
    )


def whole_model(inputs: Inputs, progress: Progress) -> nn.Module:
    """The best epoch's model, backbone and head, in eval mode on the CPU."""
    on_features = inputs.job.files.features is not None
    init = "pretrained" if on_features else "random"
    model = backbones.build(inputs.backbone, len(inputs.classes), seed=0, init=init)
    if on_features and inputs.job.strategy.from_features:
        name = layers.head_name(model)
        kept = {k.removeprefix("head."): v for k, v in progress.best_model.items()}
        if "bank" in kept:
            model.set_submodule(name, neighbours.Neighbours(kept, len(inputs.classes)))
        model.get_submodule(name).load_state_dict(kept)
    else:  # after cached features the frozen part, which the weights hold, is missing
        model.load_state_dict(progress.best_model, strict=not on_features)
    return model.eval()


def input_example(cache: ImageCache, frame: pd.DataFrame, image: dict[str, Any]) -> np.ndarray:
    """The first two training images, normalised, float32 (2, 3, size, size).

    Args:
        frame: columns id and split.
        image: the preprocessing, as in backbone/config.json.
    """
    normalize = Normalizer(image, devices.CPU)
    rows = cache.positions(list(frame.id[frame.split == "train"][:2]))
    view = augmentation.evaluation_transform(image)
    images = [torch.from_numpy(np.array(cache[int(row)])).permute(2, 0, 1) for row in rows]
    return normalize(torch.stack([view(image) for image in images])).contiguous().numpy()
