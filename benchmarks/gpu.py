"""The benchmark of one GPU: one call, under 8 minutes.

headstart's rate is the median over the epochs after the first in the history that `runs.train`
writes, so that the fast paths are those that a run chooses for itself. The ceiling is
`loop.fit` on batches that are on the device already, its first epoch left out too. The tutorial
is the fp32 baseline with 4 loader workers, one epoch, its workers' start included. Images are 2,560
photographs at 224 px with a random resized crop and a flip, in batches of 128.

The study has the size of the hot dogs' and three of the preset's strategies, as published and
head_only, on a ResNet-18 whose random weights cost the same time as pretrained ones. One seed of
each is run; its training and validation time is multiplied by five, and the features' extraction,
which all seeds share, is added once.
"""

import json
import statistics
from dataclasses import replace
from itertools import count
from pathlib import Path

import finetuning
import measuring
import pandas as pd
import torch
from material import (
    CROP,
    ROOT,
    Photographs,
    photographs,
    run_files,
    run_name,
    strategy,
    training_files,
)
from table import RATE, Row, compared, number

from headstart import HeadstartError
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.experiment import config, loading
from headstart.models.backbones import Prepared
from headstart.training import features, runs
from headstart.training.jobs import Job, TrainingFiles

IMAGES, EVERY, BATCH, EPOCHS, REPEATS, WORKERS, SEEDS = 2560, 10, 128, 3, 5, 4, 5
NETWORKS = ("resnet18", "resnet50")
CEILING_BAR, TUTORIAL_BAR, STUDY_BAR = 0.90, 4.0, 120.0
_PHASE = {"epochs": EPOCHS, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9}
_IMAGE = config.Image(224, 0.875, "bilinear", (0.5,) * 3, (0.5,) * 3, 256)


def open_gpu() -> devices.Device:
    """The GPU.

    Raises:
        HeadstartError: there is none.
    """
    device = devices.open_device("auto", torch.get_num_threads())
    if device.type != "cuda":
        raise HeadstartError("no GPU is visible; leave out --gpu to measure the CPU")
    return device


def rows(folder: Path, device: devices.Device) -> list[Row]:
    pictures = photographs(folder, IMAGES)
    files = {name: _files(folder / name, name, pictures) for name in NETWORKS}
    found = [
        row
        for name in NETWORKS
        for row in _network_rows(folder, name, pictures, files[name], device)
    ]
    return [*found, study_row(folder, files["resnet18"], device)]


def _files(folder: Path, name: str, pictures: Photographs) -> TrainingFiles:
    folder.mkdir()
    backbone = config.Backbone(name, "timm", "none")
    return training_files(folder, pictures, backbone, _IMAGE, EVERY)


def _network_rows(
    folder: Path,
    name: str,
    pictures: Photographs,
    files: TrainingFiles,
    device: devices.Device,
) -> list[Row]:
    numbers = count()

    def headstart_rate() -> float:
        outputs = folder / f"{name}-{next(numbers)}"
        run(outputs, strategy(_PHASE, CROP, batch_size=BATCH), files, device)
        return float(pd.read_csv(outputs / "history.csv").images_per_second[1:].median())

    def ceiling_rate() -> float:
        steps = IMAGES * (EVERY - 1) // EVERY // BATCH
        batches = finetuning.Synthetic(224, BATCH, steps, device)
        history = finetuning.fit(name, batches, device, _PHASE)
        return statistics.median(row["images_per_second"] for row in history[1:])

    # Its workers are forked, which a process that holds CUDA graphs does not survive.
    with measuring.process(measuring.TUTORIAL) as tutorial_side:

        def tutorial_rate() -> float:
            arguments = (pictures, name, BATCH, device.type, WORKERS)
            return tutorial_side.run(finetuning.tutorial_rate, *arguments)

        rates = measuring.interleaved(
            {"headstart": headstart_rate, "ceiling": ceiling_rate, "tutorial": tutorial_rate},
            REPEATS,
        )
    ours = rates["headstart"]
    below, above = f"training over the step's ceiling, {name}", f"full fine-tuning, {name}, 224 px"
    tutorial = f"tutorial, fp32, {WORKERS} workers"
    return [
        compared(below, ours, rates["ceiling"], CEILING_BAR, RATE, "synthetic"),
        compared(above, ours, rates["tutorial"], TUTORIAL_BAR, RATE, tutorial),
    ]


def run(
    folder: Path, settings: config.Strategy, files: TrainingFiles, device: devices.Device
) -> None:
    """Train one run into model.safetensors, history.csv and run.json of a new folder."""
    job = Job(run_name(folder.name), settings, files, run_files(folder))
    runs.train(job, device.threads)


def study_row(folder: Path, files: TrainingFiles, device: devices.Device) -> Row:
    preset = loading.load(ROOT / "config/experiments/hotdog.yaml")
    extracted = _extract(folder, preset, files, device)
    seconds = {}
    for name in ("full_published", "scratch_published", "head_only"):
        settings = preset.strategies[name]
        run(folder / name, settings, extracted if settings.from_features else files, device)
        record = json.loads((folder / name / "run.json").read_text())
        seconds[name] = record["train_seconds"]
    shared = json.loads((folder / "pooled.json").read_text())["seconds"]
    total = shared + SEEDS * sum(seconds.values())
    parts = ", ".join(f"{name} {number(spent)} s" for name, spent in seconds.items())
    return Row(
        f"hot dog study, 3 strategies x {SEEDS} seeds, seconds of training",
        total,
        STUDY_BAR,
        f"one seed each: {parts}; features {number(shared)} s",
        f"one seed times {SEEDS}",
        at_most=True,
    )


def _extract(
    folder: Path, preset: config.Experiment, files: TrainingFiles, device: devices.Device
) -> TrainingFiles:
    """The same files with the preset's features beside them, as head_only needs them."""
    pooled, meta = folder / "pooled.npy", folder / "pooled.json"
    with features.costed(meta, preset.features.views, device):
        features.extract(
            ImageCache.open(files.images, files.index),
            Prepared.read(files.backbone, files.weights),
            preset.augmentation,
            preset.features.views,
            device,
            pooled,
        )
    return replace(files, features=pooled, features_meta=meta)
