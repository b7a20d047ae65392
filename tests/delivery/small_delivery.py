"""A finished experiment on cells of ELPV, made without training: runs with drawn heads."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import nn

from headstart import prediction, provenance
from headstart.compute import devices
from headstart.data import cache as caches
from headstart.data import manifest
from headstart.experiment import config
from headstart.models import backbones, layers
from headstart.models.backbones import Prepared
from headstart.models.neighbours import Neighbours

CLASSES = ["defective", "a|b <i>"]
N_TRAIN, N_TEST = 12, 120
LITE0 = config.Backbone("tf_efficientnet_lite0", "timm", "bundled")
UNCERTAIN = {"value": 0.75, "low": 0.61, "high": 0.85}


@cache
def cells() -> pd.DataFrame:
    """The manifest of the first cells of ELPV, from its package."""
    spec = find_spec("elpv_dataset")
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data/images"
    paths = sorted(folder.glob("*.png"))[: N_TRAIN + N_TEST]
    listing = {"id": [path.name for path in paths], "path": map(str, paths), "split": ""}
    labels = [CLASSES[row % 2] for row in range(len(paths))]
    return manifest.build(pd.DataFrame(listing, dtype=object).assign(label=labels))


class Experiment:
    """The folder of an experiment, to which runs are added."""

    def __init__(self, folder: Path, backbone: config.Backbone, size: int) -> None:
        self.folder = folder
        (folder / "backbone").mkdir(parents=True)
        (folder / "splits/0").mkdir(parents=True)
        files = folder / "backbone/config.json", folder / "backbone/weights.safetensors"
        backbones.prepare(backbone, config.Image(size, 0.9, None, None, None, None), *files)
        self.backbone = Prepared.read(*files)
        (folder / "classes.json").write_text(json.dumps(CLASSES))
        cells().to_csv(folder / "manifest.csv", index=False)
        parts = ["train"] * N_TRAIN + ["test"] * N_TEST
        split = cells()[["id", "label"]].assign(split=parts)
        split[split.split == "test"].to_csv(folder / "splits/0/test.csv", index=False)
        renamed = split[["id", "split"]].rename(columns={"split": "split-0"})
        renamed.to_csv(folder / "split.csv", index=False)
        stored = folder / "cache/images.bin", folder / "cache/index.csv"
        caches.build(cells(), *stored, self.backbone.image)
        self.cache = caches.ImageCache.open(*stored)
        self.test_ids = list(split.id[split.split == "test"])

    def model(self, seed: int) -> nn.Module:
        """The backbone with a head that gives the test images logits of a few units."""
        model = backbones.build(self.backbone, 2, seed).eval()
        head = model.get_submodule(layers.head_name(model))
        plain = prediction.Classifier(model, CLASSES, self.backbone.image, "cross_entropy")
        shares = prediction.probabilities(plain, self.cache, self.test_ids, devices.CPU)
        logits = np.log(shares[:, 0] / shares[:, 1])
        with torch.no_grad():
            head.weight.mul_(3 / logits.std())
            head.bias.copy_(torch.tensor([-1.5, 1.5]) * logits.mean() / logits.std())
        return model

    def neighbours(self) -> nn.Module:
        """The backbone with a vote of the training images' features in the head's place."""
        model = backbones.build(self.backbone, 2).eval()
        bank = nn.functional.normalize(
            torch.randn(N_TRAIN, self.backbone.description["num_features"])
        )
        state = {"bank": bank, "labels": torch.arange(N_TRAIN) % 2, "k": torch.tensor(5)}
        model.set_submodule(layers.head_name(model), Neighbours(state, 2))
        return model

    def add(self, strategy: str, model: nn.Module | None, seed: int = 0, **changes: Any) -> Path:
        """A run; `changes` are to run.json, but `loss`, and `flips` and `temperature`."""
        folder = self.folder / f"runs/{strategy}/fraction-1.0/split-0/seed-{seed}"
        folder.mkdir(parents=True)
        tested = {key: changes.pop(key) for key in ("flips", "temperature") if key in changes}
        loss = changes.pop("loss", "cross_entropy")
        if model is not None:
            save_file(model.state_dict(), folder / "model.safetensors")
        trained = {"init": "pretrained", "training": {"loss": loss}}
        run = {
            "experiment": self.folder.name,
            "strategy": strategy,
            "fraction": 1.0,
            "split": 0,
            "seed": seed,
            "settings": {"backbone": self.backbone.description, "strategy": trained},
            "split_hash": "5" * 64,
            "config_hash": "c" * 64,
            "git_commit": "",
            "device": "test CPU",
            "precision": "fp32",
            "device_seconds": 191.0,
            "best_epoch": 1,
            "trials": 0,
            "parameters": 3_373_570,
            "trainable_parameters": 2562,
            "trained_on_val": False,
            "versions": {"torch": "2"},
        }
        if model is not None:
            run["model_sha256"] = provenance.file_hash(folder / "model.safetensors")
        (folder / "run.json").write_text(json.dumps(run | changes))
        (folder / "history.csv").write_text("epoch,val_accuracy,val_loss\n1,0.75,0.5\n")
        recall = {"support": 60, "precision": UNCERTAIN, "recall": UNCERTAIN}
        metrics = {
            "n_test": N_TEST,
            "metrics": {"accuracy": UNCERTAIN, "ece": {"value": 0.04}},
            "majority_floor": 0.5,
            "per_class": dict.fromkeys(CLASSES, recall),
        }
        (folder / "metrics.json").write_text(json.dumps(metrics | tested))
        return folder

    def decide(self, leader: str, recommended: str | None) -> None:
        """Write the verdict."""
        (self.folder / "comparison").mkdir(exist_ok=True)
        verdict = {
            "leader": leader,
            "recommended": recommended,
            "statement": f"{leader} leads.",
            "shortcut_floor": {"accuracy": 0.61, "low": 0.5, "high": 0.7, "alone": {"size": 0.6}},
        }
        (self.folder / "comparison/verdict.json").write_text(json.dumps(verdict))
