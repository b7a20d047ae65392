"""Where a network looked, against the class activation maps that Grad-CAM generalises."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from headstart.models import evidence, layers
from headstart.models.neighbours import Neighbours

CLASSES = np.array([0, 2])


def photographs(side: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def activation_maps(model: nn.Module, features: torch.Tensor) -> np.ndarray:
    """Zhou et al. 2016: the map (n, C, h, w) weighted by the head's row of the class."""
    rows = model.get_submodule(layers.head_name(model)).weight[CLASSES]
    found = torch.einsum("nchw,nc->nhw", features, rows).clamp(min=0)
    return (found / found.amax((1, 2), keepdim=True).clamp(min=1e-12)).detach().numpy()


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "convnext_atto"])
def test_with_pooling_and_one_layer_it_is_the_activation_map(make_model, name: str) -> None:
    model, images = make_model("timm", name), photographs()
    if name == "convnext_atto":  # its norm after pooling makes the head's weights depend on it
        model.head.norm = nn.Identity()
    found = evidence.maps(model, images, CLASSES)
    expected = activation_maps(model, model.forward_features(images))
    assert found.shape == (2, 2, 2) and found.max() == pytest.approx(1)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_torchvision_network_has_maps_too(make_model) -> None:
    model, images = make_model("torchvision", "resnet18"), photographs()
    body = nn.Sequential(*list(model.children())[:-2])
    found = evidence.maps(model, images, CLASSES)
    assert found == pytest.approx(activation_maps(model, body(images)), abs=1e-4)


def test_a_map_whose_channels_come_last_is_read_as_such() -> None:
    torch.manual_seed(0)
    small = {"img_size": 64, "window_size": 2, "embed_dim": 24, "num_heads": (1, 1, 2, 2)}
    name = "swin_tiny_patch4_window7_224"
    model = timm.create_model(name, num_classes=3, depths=(1, 1, 1, 1), **small).eval()
    images = photographs()
    expected = activation_maps(model, model.forward_features(images).permute(0, 3, 1, 2))
    assert evidence.maps(model, images, CLASSES) == pytest.approx(expected, abs=1e-4)


def test_a_vision_transformer_has_none() -> None:
    small = {"img_size": 32, "embed_dim": 24, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **small).eval()
    assert evidence.maps(model, photographs(32), CLASSES).shape == (2, 0, 0)


def test_neighbours_in_place_of_a_head_have_maps(make_model) -> None:
    model = make_model("timm", "resnet10t")
    bank = nn.functional.normalize(torch.randn(20, 512).abs())
    state = {"bank": bank, "labels": torch.arange(20) % 3, "k": torch.tensor(10)}
    model.fc = Neighbours(state, 3)
    found = evidence.maps(model, photographs(), CLASSES)
    assert found.shape == (2, 2, 2) and np.isfinite(found).all() and 0 < found.max() <= 1


def test_the_network_is_left_as_it_was(make_model) -> None:
    model = make_model("timm", "resnet10t")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = photographs()
    evidence.maps(model, images, CLASSES)
    assert not images.requires_grad
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
