"""Layouts: the precision that is fast and right."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from headstart.compute.devices import Device
from headstart.models import backbones, layers, layouts


@pytest.fixture
def bf16(cpu) -> Device:
    return replace(cpu, precision="bf16")


def test_bf16_keeps_depthwise_convolutions_in_fp32(bf16):
    torch.manual_seed(0)
    model = backbones.create("tf_efficientnet_lite0", "timm", 5)
    plain = backbones.create("tf_efficientnet_lite0", "timm", 5)
    plain.load_state_dict(model.state_dict())
    model, plain = layouts.place(model, bf16).eval(), plain.eval()
    types: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            depthwise = module.groups > 1
            module.register_forward_hook(lambda m, i, out, d=depthwise: types[d].add(out.dtype))
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        with layouts.autocast(bf16):
            made = model(images).float()
        wanted = plain(images)
    assert types == {True: {torch.float32}, False: {torch.bfloat16}}
    assert (made - wanted).norm() / wanted.norm() < 0.05
    assert not torch.equal(made, wanted)


def test_bf16_keeps_the_head_in_fp32(bf16):
    model = backbones.create("test_efficientnet", "timm", 2).eval()
    head = model.get_submodule(layers.head_name(model))
    inputs = []
    head.register_forward_pre_hook(lambda module, given: inputs.append(given[0].float()))
    with torch.no_grad(), layouts.autocast(bf16):
        logits = layouts.place(model, bf16, head)(torch.randn(2, 3, 32, 32))
    assert logits.dtype == torch.float32
    assert torch.equal(logits, nn.functional.linear(inputs[0], head.weight, head.bias))


def test_bf16_still_trains_and_saves_as_usual(bf16):
    model = backbones.create("test_efficientnet", "timm", 2)
    names = list(model.state_dict())
    model = layouts.place(model, bf16).train()
    assert list(model.state_dict()) == names
    with layouts.autocast(bf16):
        loss = model(torch.randn(4, 3, 32, 32)).float().square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32 and parameter.grad is not None, name
        assert parameter.grad.isfinite().all()


def test_fp32_changes_no_bit(cpu):
    model = backbones.create("test_efficientnet", "timm", 2).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad(), layouts.autocast(cpu):
        plain = model(images)
        placed = layouts.place(model, cpu)(images)
    assert placed.dtype == torch.float32
    assert torch.allclose(placed, plain, atol=1e-5)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "test_efficientnet"),
        ("timm", "resnet10t"),
        ("timm", "test_vit"),
        ("torchvision", "resnet18"),
        ("torchvision", "densenet121"),
        ("torchvision", "shufflenet_v2_x0_5"),
    ],
)
def test_folded_norms_change_no_output(library, name):
    torch.manual_seed(0)
    model = backbones.create(name, library, 3)
    size = 160 if name == "test_vit" else 64
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = layouts.fold_norms(model.eval(), size)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    if name != "densenet121":  # there most norms come before their convolution
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
