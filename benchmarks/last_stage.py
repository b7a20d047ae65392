"""Fine-tuning the last stage from what the frozen part computed once, against recomputing it.

A ResNet-18 at 224 px in fp32 on both sides, images without augmentation, several epochs of the
same `loop.fit`: on cached maps, and through the whole network. Computing the maps is shown, as
a number of epochs after which it is repaid. The guard is the largest difference between the two
loss curves.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import measuring
import numpy as np
import torch
import trainings
from material import Photographs, photographs, strategy
from table import RATE, Row, compared, number
from torch import nn

from headstart.compute import devices
from headstart.experiment import config
from headstart.models import backbones, layouts, tails
from headstart.models.backbones import Prepared
from headstart.training import prefix
from headstart.views.batches import Batches, Examples, FeatureBatches, Sampling

NETWORK, SIZE, BATCH, EPOCHS, STAGES = "resnet18", 224, 32, 2, 1
BAR, CURVE_BAR = 2.0, 1e-3


@dataclass(frozen=True)
class Case:
    pictures: Photographs
    backbone: Prepared
    maps: Path


@dataclass(frozen=True)
class Curve:
    """Images per second of the last epoch, and the training losses of all epochs."""

    rate: float
    losses: list[float]


def rows(folder: Path, quick: bool) -> list[Row]:
    pictures = photographs(folder, BATCH * (2 if quick else 4))
    description, weights = folder / "backbone.json", folder / "weights.safetensors"
    image = config.Image(SIZE, None, None, None, None, None)
    backbones.prepare(config.Backbone(NETWORK, "timm", "none"), image, description, weights)
    case = Case(pictures, Prepared.read(description, weights), folder / "maps.npy")
    with measuring.process(measuring.HEADSTART) as side:
        found = measuring.interleaved(
            {
                "extraction": lambda: side.run(extraction_seconds, case),
                "cached": lambda: side.run(cached, case),
                "through": lambda: side.run(through, case),
            },
            repeats=2 if quick else 5,
        )
    ours = [curve.rate for curve in found["cached"]]
    theirs = [curve.rate for curve in found["through"]]
    images = BATCH * (2 if quick else 4)
    saved = images / median(theirs) - images / median(ours)
    apart = np.subtract(found["cached"][0].losses, found["through"][0].losses)
    name = f"last stage of {NETWORK}, from cached maps"
    return [
        compared(name, ours, theirs, BAR, RATE, "recomputed, fp32 too"),
        Row(
            "last stage: epochs until the maps are repaid",
            median(found["extraction"]) / saved,
            None,
            f"{number(images / median(found['extraction']))} images/s to compute",
            "",
        ),
        Row(
            "last stage: largest difference of the loss curves",
            float(np.abs(apart).max()),
            CURVE_BAR,
            f"{EPOCHS} epochs",
            "recomputed",
            at_most=True,
        ),
    ]


def extraction_seconds(case: Case) -> float:
    cache, _ = case.pictures.open()
    started = time.perf_counter()
    prefix.extract(cache, case.backbone, STAGES, _fp32(), case.maps)
    return time.perf_counter() - started


def cached(case: Case) -> Curve:
    model = _model(case).eval()
    tail = tails.tail(model, tails.trained_names(model, STAGES), SIZE)
    assert tail is not None
    _, labels = case.pictures.open()
    maps = np.load(case.maps, mmap_mode="r")
    batches = FeatureBatches(maps, _examples(labels), Sampling(BATCH, "uniform", 0), _fp32())
    return _fit(tail.train(), batches)


def through(case: Case) -> Curve:
    cache, labels = case.pictures.open()
    chosen, image = _examples(labels), case.backbone.image
    batches = trainings.image_batches(cache, chosen, _strategy(), image, _fp32())
    return _fit(_model(case), batches)


def _fp32() -> devices.Device:
    return devices.open_device("fp32", torch.get_num_threads())


def _model(case: Case) -> nn.Module:
    return backbones.build(case.backbone, num_classes=2, seed=0, init="random")


def _examples(labels: np.ndarray) -> Examples:
    return trainings.examples(labels, np.arange(len(labels)), np.arange(2))


def _strategy() -> config.Strategy:
    phase = {"train": "last_k_stages", "stages": STAGES, "epochs": EPOCHS, "optimizer": "sgd"}
    return strategy(phase, batch_size=BATCH)


def _fit(model: nn.Module, batches: Batches) -> Curve:
    device = _fp32()
    history = trainings.fit(layouts.place(model, device), batches, _strategy(), device).history
    return Curve(history[-1]["images_per_second"], [row["train_loss"] for row in history])
