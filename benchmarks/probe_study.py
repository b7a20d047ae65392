"""A linear-probe study: 10 learning rates, 5 seeds and 10 epochs on 2,000 + 800 images.

The default experiment's backbone with its ImageNet weights, 224 px, every image in its plain view.
The tutorial decodes the images and computes the backbone anew in each of the study's 500 epochs:
a part of one epoch is measured, on as large a share of the training and of the validation images,
and multiplied. headstart extracts the features once, measured on the same images and multiplied
alike, and trains the heads on features repeated to 2,000 + 800 rows. The cache, which all
strategies share, is there before; delivery.py says what it costs.

The guard: logits of a head on headstart's features against those of the same head on the naive
model in eval mode, fed by timm's own preprocessing.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import baseline
import measuring
import numpy as np
import torch
import trainings
from material import Photographs, photographs, strategy
from PIL import Image
from table import SECONDS, Row, compared
from torch import nn

from headstart.compute import devices
from headstart.experiment import config
from headstart.models import backbones, layers, layouts
from headstart.models.backbones import Prepared
from headstart.training import features
from headstart.views.batches import FeatureBatches, Sampling

NETWORK = "tf_efficientnet_lite0"
SIZE, BATCH, EPOCHS, TRAIN, VAL = 224, 128, 10, 2000, 800
RATES = [float(rate) for rate in np.logspace(-4, -1, 10)]
SEEDS = [0, 1, 2, 3, 4]
STUDY_BAR, SINGLE_BAR, LOGITS_BAR = 300.0, 15.0, 1e-2
_CHECKED = 64


@dataclass(frozen=True)
class Study:
    """The images of a part of an epoch, the backbone and where features go."""

    pictures: Photographs
    backbone: Prepared
    features: Path


def rows(folder: Path, quick: bool) -> list[Row]:
    share, repeats = (20, 2) if quick else (5, 5)
    pictures = photographs(folder, (TRAIN + VAL) // share)
    description, weights = folder / "backbone.json", folder / "weights.safetensors"
    image = config.Image(SIZE, None, None, None, None, None)
    backbones.prepare(config.Backbone(NETWORK, "timm", "bundled"), image, description, weights)
    study = Study(pictures, Prepared.read(description, weights), folder / "pooled.npy")
    with (
        measuring.process(measuring.HEADSTART) as headstart,
        measuring.process(measuring.TUTORIAL) as tutorial,
    ):
        seconds = measuring.interleaved(
            {
                "tutorial": lambda: tutorial.run(tutorial_seconds, pictures),
                "extraction": lambda: headstart.run(extraction_seconds, study),
                "heads": lambda: headstart.run(heads_seconds, study, RATES, SEEDS),
                "head": lambda: headstart.run(heads_seconds, study, RATES[-1:], SEEDS[:1]),
            },
            repeats,
        )
        difference = headstart.run(largest_difference, study)
    epochs = [share * part for part in seconds["tutorial"]]
    extraction = [share * part for part in seconds["extraction"]]
    against = f"tutorial, 1/{share} of an epoch measured"
    runs = len(RATES) * len(SEEDS)
    return [
        compared(
            f"linear-probe study, {runs} heads",
            [e + h for e, h in zip(extraction, seconds["heads"], strict=True)],
            [runs * EPOCHS * epoch for epoch in epochs],
            STUDY_BAR,
            SECONDS,
            against,
        ),
        compared(
            "one head_only run",
            [e + h for e, h in zip(extraction, seconds["head"], strict=True)],
            [EPOCHS * epoch for epoch in epochs],
            SINGLE_BAR,
            SECONDS,
            against,
        ),
        Row(
            "largest difference of a logit from the naive model's",
            difference,
            LOGITS_BAR,
            f"{_CHECKED} images",
            "naive eval mode",
            at_most=True,
        ),
    ]


def tutorial_seconds(pictures: Photographs) -> float:
    """A part of an epoch: training on five sevenths of the images, validation on the others."""
    network = baseline.model(NETWORK, frozen=True)
    optimizer = baseline.optimizer(network)
    parts = division(sum(1 for _ in pictures.files.rglob("*.jpg")))
    train, val = (
        baseline.loader(pictures.files, SIZE, BATCH, baseline.PLAIN, chosen=list(parts[part]))
        for part in ("train", "val")
    )
    started = time.perf_counter()
    baseline.train(network, optimizer, train, frozen=True)
    baseline.evaluate(network, val)
    return time.perf_counter() - started


def division(images: int) -> dict[str, np.ndarray]:
    """Positions for training and for validation, five to two as 2,000 to 800."""
    positions = np.arange(images)
    train = positions % 7 < 5
    return {"train": positions[train], "val": positions[~train]}


def extraction_seconds(study: Study) -> float:
    device = devices.open_device("auto", torch.get_num_threads())
    cache, _ = study.pictures.open()
    started = time.perf_counter()
    features.extract(cache, study.backbone, [], 1, device, study.features)
    return time.perf_counter() - started


def heads_seconds(study: Study, rates: list[float], seeds: list[int]) -> float:
    """Seconds for all heads on 2,000 + 800 rows, the extracted ones repeated."""
    _, labels = study.pictures.open()
    pooled = np.load(study.features)
    repeats = (TRAIN + VAL) // len(labels)
    started = time.perf_counter()
    train_heads(np.tile(pooled, (1, repeats, 1)), np.tile(labels, repeats), rates, seeds)
    return time.perf_counter() - started


def train_heads(
    pooled: np.ndarray, labels: np.ndarray, rates: list[float], seeds: list[int]
) -> list[dict[str, torch.Tensor]]:
    """The best epoch's "head.weight" and "head.bias" for each learning rate and seed.

    Args:
        pooled: float32 features (1, n, d).
        labels: class indices (n,).
    """
    device = devices.open_device("auto", torch.get_num_threads())
    chosen = trainings.examples(labels, **division(len(labels)))
    found = []
    for seed in seeds:
        for rate in rates:
            torch.manual_seed(seed)
            head = nn.Sequential()
            head.add_module("head", layers.new_head(pooled.shape[2], 2))
            model = layouts.place(head, device, head.get_submodule("head"))
            batches = FeatureBatches(pooled, chosen, Sampling(BATCH, "uniform", seed), device)
            trained = strategy({"train": "head", "epochs": EPOCHS, "lr": rate}, batch_size=BATCH)
            found.append(trainings.fit(model, batches, trained, device, seed).best_model)
    return found


def largest_difference(study: Study) -> float:
    """Between the logits of a head on the features and on the naive model, both in fp32 there."""
    cache, labels = study.pictures.open()
    pooled = np.load(study.features)
    (head,) = train_heads(pooled, labels, RATES[-1:], SEEDS[:1])
    weight, bias = head["head.weight"].numpy(), head["head.bias"].numpy()
    ours = pooled[0, :_CHECKED] @ weight.T + bias
    paths = [study.pictures.files / image for image in cache.ids[:_CHECKED]]
    return float(np.abs(ours - naive_logits(study, paths, head)).max())


def naive_logits(study: Study, paths: list[Path], head: dict[str, torch.Tensor]) -> np.ndarray:
    """Logits (n, 2) of the whole model in eval mode, one image after the other, fp32."""
    from timm.data import create_transform, resolve_model_data_config

    model = backbones.build(study.backbone, 2, seed=0)
    model.get_submodule(layers.head_name(model)).load_state_dict(
        {name.removeprefix("head."): value for name, value in head.items()}
    )
    model.eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    with torch.inference_mode():
        logits = [model(transform(Image.open(path).convert("RGB"))[None]) for path in paths]
    return torch.cat(logits).numpy()
