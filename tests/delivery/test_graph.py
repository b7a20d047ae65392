"""ONNX files of every kind of network give torch's probabilities."""

import numpy as np
import pytest
import torch
from small_delivery import CLASSES, LITE0, Experiment
from torch import nn

from headstart import HeadstartError, prediction
from headstart.delivery import graph
from headstart.delivery.exported import Exported
from headstart.experiment import config

TESTED = 100


@pytest.mark.parametrize(
    ("backbone", "tested"),
    [
        (LITE0, {"flips": ("horizontal", "vertical"), "temperature": 1.7}),
        (config.Backbone("resnet18", "timm", "none"), {"loss": "binary_cross_entropy"}),
        (config.Backbone("vit_tiny_patch16_224", "timm", "none"), {"temperature": 0.8}),
    ],
    ids=["lite0", "resnet", "transformer"],
)
def test_probabilities_are_torch_s(backbone, tested, tmp_path):
    experiment = Experiment(tmp_path / "cells", backbone, 48)
    run = experiment.add("full", experiment.model(0), **tested)
    classifier = prediction.trained(experiment.folder, run)
    graph.write(classifier, tmp_path / "model.onnx", {"run": "full"})
    exported = Exported.read(tmp_path / "model.onnx")
    ids = experiment.test_ids[:TESTED]
    assert len(ids) == TESTED
    assert graph.parity(classifier, exported, experiment.cache, ids) < 1e-4
    shares = prediction.probabilities(classifier, experiment.cache, ids, prediction.CPU)
    assert np.ptp(shares[:, 0]) > 0.3  # or the comparison would prove little
    [given], [made] = exported.session.get_inputs(), exported.session.get_outputs()
    assert (given.name, given.shape) == ("images", ["batch", 3, 48, 48])
    assert (made.name, made.shape) == ("probabilities", ["batch", 2])
    for n in (1, 7):
        found = exported.probabilities(np.zeros((n, 3, 48, 48), np.float32))
        assert found.shape == (n, 2) and np.allclose(found.sum(1), 1, atol=1e-6)
    assert (exported.classes, exported.image["size"]) == (CLASSES, 48)


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
