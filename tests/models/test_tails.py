"""Tails: the trained part of a network goes on where the frozen part ends."""

import pytest
import torch

from headstart.models import layers, tails

SIZE = 32
N = 24


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "test_efficientnet"),
        ("timm", "resnet10t"),
        ("torchvision", "resnet18"),
        ("torchvision", "mobilenet_v3_small"),
    ],
)
def test_the_tail_goes_on_where_the_frozen_part_ends(make_model, library, name, stages):
    model = make_model(library, name, 2)
    trained = tails.trained_names(model, stages)
    tail = tails.tail(model, trained, SIZE)
    assert tail is not None
    assert {key for key, _ in tail.named_parameters()} == trained
    assert layers.stages(tail) == layers.stages(model)[-stages:]
    images = torch.randn(3, 3, SIZE, SIZE)
    with torch.inference_mode():
        output = tail(tails.received(model, trained, images))
        torch.testing.assert_close(output, model(images), rtol=1e-3, atol=1e-4)
