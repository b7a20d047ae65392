"""Strategies: what trains, how fast, and on which course."""

import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from headstart import HeadstartError
from headstart.models import backbones, layers
from headstart.training import strategies


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return backbones.create("test_efficientnet", "timm", 3)


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def head_names(model: nn.Module) -> set[str]:
    head = layers.head_name(model)
    return {f"{head}.weight", f"{head}.bias"}


def rates(phase, steps_per_epoch: int) -> list[list[float]]:
    """Learning rates of body and head at every step of a phase."""
    body, head = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    groups = [
        {"params": [body], "lr": phase.lr},
        {"params": [head], "lr": phase.lr * phase.head_lr_multiplier},
    ]
    optimizer = torch.optim.AdamW(groups)
    schedule = strategies.scheduler(optimizer, phase, steps_per_epoch)
    seen = []
    for _ in range(phase.epochs * steps_per_epoch):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return [list(group) for group in zip(*seen, strict=True)]


def test_head_trains_the_head_alone(model, make_phase):
    optimizer = strategies.begin_phase(model, make_phase(train="head", head_lr_multiplier=10))
    assert trained(model) == head_names(model)
    assert len(optimizer.param_groups) == 1
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_all_trains_everything_and_the_head_faster(model, make_phase):
    optimizer = strategies.begin_phase(model, make_phase(train="all", head_lr_multiplier=10))
    assert trained(model) == {name for name, _ in model.named_parameters()}
    body, head = optimizer.param_groups
    assert (body["lr"], head["lr"]) == (0.01, pytest.approx(0.1))
    held = {id(p) for p in head["params"]}
    named = dict(model.named_parameters())
    assert held == {id(named[name]) for name in head_names(model)}
    assert sum(len(group["params"]) for group in (body, head)) == len(named)


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_last_k_stages_train_exactly_those(model, make_phase, stages):
    strategies.begin_phase(model, make_phase(train="last_k_stages", stages=stages))
    groups = layers.stages(model)
    expected = {name for group in groups[-stages:] for name in group} | head_names(model)
    assert trained(model) == expected
    assert not any(name in expected for group in groups[:-stages] for name in group)


def test_all_stages_may_train_and_one_more_may_not(model, make_phase):
    count = len(layers.stages(model))
    strategies.begin_phase(model, make_phase(train="last_k_stages", stages=count))
    assert trained(model) == {name for name, _ in model.named_parameters()}
    with pytest.raises(HeadstartError) as caught:
        strategies.begin_phase(model, make_phase(train="last_k_stages", stages=count + 1))
    assert str(caught.value) == f"phases.stages is {count + 1}, but the backbone has {count} stages"


def test_a_head_on_features_trains(make_phase):
    """The model that trains on features is a lone linear layer, named head."""
    model = nn.Sequential()
    model.add_module("head", nn.Linear(5, 2))
    optimizer = strategies.begin_phase(model, make_phase(train="head", lr=0.5))
    assert trained(model) == {"head.weight", "head.bias"}
    assert [group["lr"] for group in optimizer.param_groups] == [0.5]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)],
)
def test_optimizers_take_their_settings(model, make_phase, name, kind):
    phase = make_phase(optimizer=name, weight_decay=0.3, momentum=0.7)
    optimizer = strategies.begin_phase(model, phase)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group["weight_decay"] == 0.3
        assert group.get("momentum", 0.7) == 0.7


def test_no_gradient_of_an_earlier_phase_stays(model, make_phase):
    """A left-over gradient would count in the norm that a later phase clips."""
    strategies.begin_phase(model, make_phase(train="all"))
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    strategies.begin_phase(model, make_phase(train="head"))
    assert [name for name, p in model.named_parameters() if p.grad is not None] == []


def test_constant_stays(make_phase):
    body, head = rates(make_phase(head_lr_multiplier=10), 4)
    assert body == [0.01] * 8 and head == pytest.approx([0.1] * 8)


def test_step_falls_by_gamma_and_stops_at_the_floor(make_phase):
    phase = make_phase(
        epochs=7, schedule="step", step_size=2, gamma=0.5, min_lr=0.002, head_lr_multiplier=10
    )
    body, head = rates(phase, 3)
    for step in range(21):
        factor = 0.5 ** (step // 3 // 2)
        assert body[step] == pytest.approx(max(0.01 * factor, 0.002))
        assert head[step] == pytest.approx(max(0.1 * factor, 0.002))
    assert body[-1] == pytest.approx(0.002) and body[5] == 0.01


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.3, 0.9])
def test_cosine_follows_its_formula(make_phase, warmup):
    phase = make_phase(
        epochs=4, schedule="cosine", warmup=warmup, min_lr=0.001, head_lr_multiplier=2
    )
    total, rise = 20, math.floor(warmup * 20)
    for peak, seen in zip((0.01, 0.02), rates(phase, 5), strict=True):
        for step in range(rise):
            start = 1 / rise
            assert seen[step] == pytest.approx(peak * (start + (1 - start) * step / rise))
        for step in range(rise, total):
            share = (step - rise) / (total - rise)
            wanted = 0.001 + (peak - 0.001) * (1 + math.cos(math.pi * share)) / 2
            assert seen[step] == pytest.approx(wanted)
        assert max(seen) == pytest.approx(peak)


def test_one_cycle_is_torchs(make_phase):
    phase = make_phase(epochs=5, schedule="one_cycle", warmup=0.4, head_lr_multiplier=10)
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, (0.01, 0.1), strict=True)]
    optimizer = torch.optim.AdamW(groups)
    reference = lr_scheduler.OneCycleLR(optimizer, [0.01, 0.1], total_steps=20, pct_start=0.4)
    seen = rates(phase, 4)
    for step in range(20):
        assert [group[step] for group in seen] == [g["lr"] for g in optimizer.param_groups]
        optimizer.step()
        reference.step()
    assert max(seen[0]) == pytest.approx(0.01) and seen[0].index(max(seen[0])) == 7


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.2, 0.25, 0.3, 0.5])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_short_phases_have_usable_rates(make_phase, schedule, warmup, steps):
    """Few images and few epochs make few steps; no schedule may divide by zero or stand still."""
    for seen in rates(make_phase(epochs=1, schedule=schedule, warmup=warmup), steps):
        assert all(0 <= rate <= 0.01 + 1e-12 for rate in seen)
        assert max(seen) >= 0.004


def test_one_cycle_without_warmup_only_falls(make_phase):
    body, _ = rates(make_phase(schedule="one_cycle", warmup=0.0, epochs=4), 5)
    assert body == sorted(body, reverse=True) and body[0] > 0.0095


def test_images_grow_within_a_phase(make_strategy):
    phases = {"train": "head", "epochs": 1}, {"train": "all", "epochs": 5, "start_size": 96}
    assert strategies.epoch_sizes(make_strategy(*phases), 160) == [160, 96, 112, 128, 144, 160]
    assert strategies.epoch_sizes(make_strategy(phases[1]), 150) == [96, 112, 128, 144, 150]
    one = {"train": "all", "epochs": 1, "start_size": 96}
    assert strategies.epoch_sizes(make_strategy(one, phases[0]), 150) == [150, 150]
