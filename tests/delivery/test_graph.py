"""ONNX files of every kind of network give torch's probabilities."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_delivery import CLASSES, Experiment
from torch import nn

from headstart import HeadstartError, prediction
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.delivery import graph
from headstart.delivery.exported import Exported
from headstart.experiment import config

TESTED = 100


@pytest.mark.parametrize(
    ("name", "tested"),
    [
        ("resnet18", {"loss": "binary_cross_entropy"}),
        ("vit_tiny_patch16_224", {"flips": ("vertical",), "temperature": 0.8}),
    ],
)
def test_probabilities_are_torch_s(name, tested, tmp_path):
    experiment = Experiment(tmp_path / "cells", config.Backbone(name, "timm", "none"), 48)
    run = experiment.add("full", experiment.model(0), **tested)
    classifier = prediction.trained(experiment.folder, run)
    graph.write(classifier, tmp_path / "model.onnx", {"run": "full"})
    exported = Exported.read(tmp_path / "model.onnx")
    compare(classifier, exported, experiment.cache, experiment.test_ids)
    assert (exported.classes, exported.image["size"]) == (CLASSES, 48)


def test_probabilities_of_lite0_are_torch_s(at_home):
    cells, run = Path("results/cells"), "runs/full/fraction-1.0/split-0/seed-1"
    classifier = prediction.trained(cells, cells / run)
    assert classifier.flips == ("horizontal", "vertical") and classifier.temperature == 1.7
    exported = Exported.read(cells / "export/model.onnx")
    cache = ImageCache.open(cells / "cache/images.bin", cells / "cache/index.csv")
    compare(classifier, exported, cache, list(pd.read_csv(cells / "splits/0/test.csv").id))


def compare(
    classifier: prediction.Classifier, exported: Exported, cache: ImageCache, test_ids: list[str]
) -> None:
    """Hold a file to torch on a hundred test images, and to its promises for any batch."""
    ids = test_ids[:TESTED]
    assert len(ids) == TESTED
    assert graph.parity(classifier, exported, cache, ids) < 1e-4
    shares = prediction.probabilities(classifier, cache, ids, devices.CPU)
    assert np.ptp(shares[:, 0]) > 0.2  # or the comparison would prove little
    [given], [made] = exported.session.get_inputs(), exported.session.get_outputs()
    size = exported.image["size"]
    assert (given.name, given.shape) == ("images", ["batch", 3, size, size])
    assert (made.name, made.shape) == ("probabilities", ["batch", 2])
    for n in (1, 7):
        found = exported.probabilities(np.zeros((n, 3, size, size), np.float32))
        assert found.shape == (n, 2) and np.allclose(found.sum(1), 1, atol=1e-6)


class Elusive(nn.Module):
    """A network whose output depends on what the runtime cannot know of it beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scale = 1.0 if images.mean().item() > 0 else 2.0
        return self.head(images.mean((2, 3))) * scale


def test_what_onnx_cannot_express_is_one_line(tmp_path, image):
    classifier = prediction.Classifier(Elusive().eval(), CLASSES, image, "cross_entropy")
    with pytest.raises(HeadstartError, match="^Elusive cannot be written as ONNX") as caught:
        graph.write(classifier, tmp_path / "model.onnx", {})
    assert "\n" not in str(caught.value) and not (tmp_path / "model.onnx").exists()
