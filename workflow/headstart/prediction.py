"""Class probabilities of a trained model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from headstart import HeadstartError, classification, provenance, records
from headstart.compute import devices, memory
from headstart.data import cache as caches
from headstart.data import decoding, manifest
from headstart.experiment import config
from headstart.models import (
    backbones,
    calibration,
    layers,
    layouts,
    neighbours,
    preprocessing,
    registry,
    weights,
)
from headstart.training import losses
from headstart.views import augmentation
from headstart.views.reader import Normalizer, Reader, consecutive

if TYPE_CHECKING:
    from torch import nn

_BATCH_SIZE = 64
#: Where single files are classified, and exported models compared.
_BUNDLED = config.Backbone("tf_efficientnet_lite0", "timm", "bundled")


@dataclass(frozen=True)
class Classifier:
    """A model on the CPU and what its input and output mean.

    `image` is the preprocessing, as in backbone/config.json, `loss` the loss it was trained with,
    `flips` those its probabilities are averaged over, `ranges` from where to where pictures of
    more than 8 bits are scaled, as in training, and `temperature` that of the calibration.
    """

    model: "nn.Module"
    classes: list[str]
    image: dict[str, Any]
    loss: str
    flips: tuple[str, ...] = ()
    ranges: decoding.Ranges = field(default_factory=dict)
    temperature: float = 1.0


def load_model(run: dict[str, Any], n_classes: int, path: Path) -> "nn.Module":
    """A run's model, in eval mode on the CPU.

    Args:
        run: the content of run.json.
        path: model.safetensors of the run.

    Raises:
        HeadstartError: the file is not the one that the run left.
    """
    from safetensors.torch import load_file

    provenance.require_whole(path, run)
    description = run["settings"]["backbone"]
    model, state = backbones.untrained(description, n_classes), load_file(path)
    neighbours.take_place(model, layers.head_name(model), state, n_classes)
    model.load_state_dict(state)
    return model.eval()


def trained(experiment: Path, run: Path) -> Classifier:
    """The model of a finished run.

    Args:
        experiment: folder of the experiment, with classes.json and manifest.csv.
        run: folder of the run, with run.json, model.safetensors and, once it is evaluated,
            metrics.json.

    Raises:
        HeadstartError: the model is unreadable, or was trained on other classes.
    """
    from safetensors import SafetensorError

    with records.reading(experiment / "classes.json") as path:
        classes = list(json.loads(path.read_text()))
    with records.reading(run / "run.json") as path:
        made = json.loads(path.read_text())
        settings = made["settings"]
        loss, image = settings["strategy"]["training"]["loss"], settings["backbone"]["image"]
    path = run / "model.safetensors"
    try:
        model = load_model(made, len(classes), path)
    except (RuntimeError, SafetensorError):
        raise HeadstartError(
            f"{path} does not fit run.json and the {len(classes)} classes of "
            f"{experiment.name!r}; run the experiment again"
        ) from None
    with records.reading(run / "metrics.json") as path:
        metrics = dict(json.loads(path.read_text())) if path.exists() else {}
    flips, temperature = tuple(metrics.get("flips", ())), metrics.get("temperature", 1.0)
    return Classifier(model, classes, image, loss, flips, _ranges(experiment), temperature)


def _ranges(experiment: Path) -> decoding.Ranges:
    with records.reading(experiment / "manifest.csv") as path:
        return manifest.ranges(manifest.read(path)) if path.exists() else {}


def pretrained(experiment: Path | None, name: str | None = None) -> Classifier:
    """A backbone with its own ImageNet head and its own preprocessing.

    Args:
        experiment: folder of the experiment whose backbone to take.
        name: a timm model to take instead; by default the one with bundled weights.

    Raises:
        HeadstartError: no such model, no weights, or weights without an ImageNet head.
    """
    if name is None and experiment is not None:
        return _of_experiment(experiment)
    own = name is None or name == _BUNDLED.name
    backbone = _BUNDLED if own else config.Backbone(str(name), "timm", "default")
    registry.require_known(backbone)
    return _imagenet(backbone.name, backbone.library, weights.load(backbone), {})


def _of_experiment(experiment: Path) -> Classifier:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = experiment / "backbone"
    if not (folder / "weights.safetensors").exists():
        raise HeadstartError(
            f"experiment {experiment.name!r} is not finished: it has no backbone; run it to the "
            "end with snakemake"
        )
    with records.reading(folder / "config.json") as path:
        description = json.loads(path.read_text())
        name, library = str(description["name"]), str(description["library"])
        image = {key: description["image"][key] for key in ("interpolation", "mean", "std")}
    with records.reading(folder / "weights.safetensors") as path:
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise ValueError(error) from None
    return _imagenet(name, library, state, image)


def _imagenet(name: str, library: str, state: "weights.State", image: dict[str, Any]) -> Classifier:
    from timm.data import ImageNetInfo, infer_imagenet_subset

    head = layers.head_name(backbones.create(name, library, num_classes=2))
    rows = len(state[f"{head}.weight"]) if f"{head}.weight" in state else 0
    subset = infer_imagenet_subset({"num_classes": rows})
    if subset is None:
        raise HeadstartError(f"the weights of {name} have no ImageNet head; leave out --pretrained")
    model = backbones.create(name, library, rows)
    model.load_state_dict(state)
    unset = dict.fromkeys(("size", "crop_pct", "interpolation", "mean", "std", "cache_size"))
    own = preprocessing.data_config(model, library, name, config.Image(**(unset | image)))
    labels = [text.split(",")[0] for text in ImageNetInfo(subset).label_descriptions()]
    return Classifier(model.eval(), labels, own, "cross_entropy")


def probabilities(
    classifier: Classifier,
    cache: caches.ImageCache,
    ids: Sequence[str],
    device: devices.Device,
) -> np.ndarray:
    """Class probabilities of cached images, float32 (len(ids), K), in the order of `ids`.

    With flips the mean over all their combinations is taken.
    """
    image = classifier.image
    model = layouts.fold_norms(classifier.model.eval(), image["size"])
    model = layouts.place(model, device, model.get_submodule(layers.head_name(model)))
    look = memory.inferring(model, memory.Parts(device))
    batches = Reader(cache, Normalizer(image, device)).batches(
        cache.positions(ids),
        consecutive(len(ids), _BATCH_SIZE),
        augmentation.evaluation_transform(image),
    )
    with torch.inference_mode(), layouts.autocast(device):
        parts = []
        for images in batches:
            flipped = augmentation.flipped(images, classifier.flips)
            logits = torch.stack([look(view).float() for view in flipped])
            parts.append(mean_shares(logits, classifier.loss).cpu())
    return calibration.tempered(torch.cat(parts).numpy(), classifier.temperature)


def from_features(classifier: Classifier, features: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (n, K) of images whose features the frozen backbone has made.

    Args:
        features: float32 (flips, n, d), of every combination of the classifier's flips.
    """
    head = classifier.model.get_submodule(layers.head_name(classifier.model))
    with torch.inference_mode():
        shares = mean_shares(head(torch.from_numpy(features)), classifier.loss)
    return calibration.tempered(shares.numpy(), classifier.temperature)


def mean_shares(logits: torch.Tensor, loss: str) -> torch.Tensor:
    """The mean over flips of the probabilities of logits (flips, n, K)."""
    return torch.stack([losses.probabilities(each, loss) for each in logits]).mean(0)


def classify(classifier: Classifier, paths: Sequence[Path]) -> classification.Predictions:
    """Class probabilities of those image files that can be read, in fp32 on the CPU."""

    def score(cache: caches.ImageCache) -> np.ndarray:
        return probabilities(classifier, cache, cache.ids, devices.CPU)

    model = classification.Model(classifier.classes, classifier.image, classifier.ranges, score)
    return classification.classify(model, paths, torch.get_num_threads())
