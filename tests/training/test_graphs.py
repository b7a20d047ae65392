"""CUDA graphs: the same training with fewer launches, and no graph where there cannot be one."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from headstart.compute import devices
from headstart.models import layouts
from headstart.training import graphs

SHAPES = [8, 8, 8, 3, 8, 8, 3, 5, 5, 5]


def network() -> nn.Module:
    """With running statistics, random draws and a part that is frozen."""
    torch.manual_seed(0)
    frozen, norm = nn.Conv2d(3, 4, 3).requires_grad_(False), nn.BatchNorm2d(4)
    return nn.Sequential(
        frozen,
        norm,
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(16, 2),
    )


class Asking(nn.Module):
    """Looks at its input on the CPU, as no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1)) * (2.0 if x.mean().item() > 0 else 1.0)


def train(model: nn.Module, step, device: devices.Device, side: int) -> list[float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    torch.manual_seed(1)
    losses = []
    for number, n in enumerate(SHAPES):
        draws = torch.Generator().manual_seed(number)
        images = torch.randn(n, 3, side, side, generator=draws).to(device.type)
        with layouts.autocast(device):
            loss = F.cross_entropy(step(images).float(), torch.arange(n, device=device.type) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_graph_trains_as_the_model_itself_does(gpu, precision):
    device = replace(gpu, precision=precision)
    plain = network().to("cuda")
    graphed = copy.deepcopy(plain)
    losses = train(plain, plain, device, side=8)
    assert train(graphed, graphs.wrap(graphed, device, True), device, side=8) == pytest.approx(
        losses, rel=1e-3
    )
    state = graphed.state_dict()
    for name, value in plain.state_dict().items():
        assert torch.allclose(state[name], value, rtol=1e-3, atol=1e-4), name


def test_where_nothing_can_be_captured_the_model_trains_without(gpu, caplog):
    plain = Asking().to("cuda")
    graphed = copy.deepcopy(plain)
    losses = train(plain, plain, gpu, side=2)
    assert train(graphed, graphs.wrap(graphed, gpu, True), gpu, side=2) == pytest.approx(losses)
    assert "no CUDA graph: " in caplog.text


def test_a_shape_is_captured_when_it_comes_twice_in_a_row(monkeypatch):
    captured, used = [], []

    def capture(model, images):
        captured.append(len(images))
        return lambda batch: used.append(len(batch)) or model(batch)

    monkeypatch.setattr(graphs, "_capture", capture)
    step = graphs.Graphed(network())
    for n in SHAPES:
        assert step(torch.zeros(n, 3, 8, 8)).shape == (n, 2)
    assert captured == [8, 5] and used == [8, 8, 8, 8, 5, 5]


def test_there_are_no_graphs_on_a_cpu_or_where_batches_are_sent(cpu):
    model = network()
    assert graphs.wrap(model, cpu, resident=True) is model
    assert graphs.wrap(model, replace(cpu, type="cuda"), resident=False) is model
