"""Backbones, networks and images that the tests of models share."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from headstart.experiment import config, loading
from headstart.models import backbones

_SIZE = 32


def _backbone(name: str, library: str = "timm", weights: str = "none") -> config.Backbone:
    raw = {
        "experiment": "tiny",
        "dataset": {"source": "folder", "path": "images"},
        "backbone": {"name": name, "library": library, "weights": weights},
        "strategies": {
            "scratch": {"init": "random", "phases": [{"train": "all", "epochs": 1, "lr": 0.1}]}
        },
    }
    return loading.from_dict(raw).backbone


def _model(library: str, name: str, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return backbones.create(name, library, classes).eval()


@pytest.fixture(scope="session")
def make_backbone() -> Callable[..., config.Backbone]:
    """The backbone of an experiment, by name, library and weights."""
    return _backbone


@pytest.fixture(scope="session")
def lite0() -> config.Backbone:
    """The backbone whose weights come with the package."""
    return _backbone("tf_efficientnet_lite0", weights="bundled")


@pytest.fixture
def tiny_state() -> dict[str, torch.Tensor]:
    """The weights of a test_resnet with seven classes."""
    return _model("timm", "test_resnet", 7).state_dict()


@pytest.fixture
def no_image() -> config.Image:
    """Preprocessing of which an experiment sets nothing."""
    return config.Image(None, None, None, None, None, None)


@pytest.fixture
def one_line() -> Callable[[pytest.ExceptionInfo], str]:
    """The text of an error, which is a single line."""

    def text_of(error: pytest.ExceptionInfo) -> str:
        text = str(error.value)
        assert "\n" not in text
        return text

    return text_of
