"""The loop: it learns, it repeats itself bit for bit, and an interruption changes nothing."""

import copy
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_training import (
    LP_FT,
    Interrupted,
    N,
    Noise,
    assert_same,
    fit,
    image_batches,
    small_model,
)
from torch import nn
from torch.nn import functional as F

from headstart import HeadstartError
from headstart.models import backbones, layers, layouts
from headstart.training.checkpoints import ResumeFile
from headstart.views.batches import Examples, FeatureBatches, Sampling


def test_a_separable_problem_is_learnt(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy({"epochs": 12, "lr": 0.02})
    _, progress = fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt")
    assert progress.history[-1]["val_accuracy"] == 1.0
    assert progress.history[-1]["train_loss"] < 0.5 * progress.history[0]["train_loss"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_seed_decides_every_bit(cache, cpu, make_strategy, tmp_path, optimizer):
    strategy = make_strategy(*({**phase, "optimizer": optimizer} for phase in LP_FT))
    made = []
    for number, seed in enumerate([3, 3, 4]):
        torch.manual_seed(number)
        batches = image_batches(cache, cpu, seed)
        made.append(fit(batches, strategy, cpu, tmp_path / f"{number}.pt", seed=seed))
    assert_same(made[0], made[1])
    assert not torch.equal(made[0][0].fc.weight, made[2][0].fc.weight)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_training_is_a_plain_loop_s_only_faster(cpu, make_strategy, tmp_path, name):
    """Memory layout, in-place activations and fused steps leave the weights as they would be.

    In double precision: a new network magnifies single precision's rounding beyond comparison.
    """
    phase = {"epochs": 1, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0}
    torch.manual_seed(0)
    whole = backbones.create(name, "timm", 2).double()
    plain = copy.deepcopy(whole).train()
    model = layouts.place(whole, cpu, whole.get_submodule(layers.head_name(whole)))
    fit(Noise(), make_strategy(phase), cpu, tmp_path / "r.pt", model=model)

    optimizer = torch.optim.SGD(plain.parameters(), 1e-3, momentum=0.9)
    for images, targets in Noise().train(1):
        optimizer.zero_grad()
        F.cross_entropy(plain(images).float(), targets).backward()
        optimizer.step()
    wanted = plain.state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, wanted[key], rtol=1e-4, atol=1e-6)


STRATEGIES = {
    "lp_ft": LP_FT,
    "sgd_cosine": [
        {"epochs": 3, "optimizer": "sgd", "schedule": "cosine"},
        {"train": "head", "epochs": 2, "optimizer": "adam", "schedule": "step"},
    ],
    "full_then_head": [{"epochs": 3}, {"train": "head", "epochs": 2, "schedule": "cosine"}],
}


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", STRATEGIES)
def test_an_interruption_changes_nothing(cache, cpu, make_strategy, tmp_path, name, stop):
    """Stopped within, between and at the end of phases; clipping would see left-over gradients."""
    strategy = make_strategy(*STRATEGIES[name], gradient_clip=0.05)
    batches = image_batches(cache, cpu)
    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt")
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=stop)
    torch.manual_seed(12345)
    resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt")
    assert [row["epoch"] for row in resumed[1].history] == [1, 2, 3, 4, 5]
    assert_same(whole, resumed)


def test_a_run_may_die_after_every_epoch(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy(*LP_FT)
    batches = image_batches(cache, cpu)
    for epoch in range(1, 6):
        with pytest.raises(Interrupted):
            fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=epoch)
    resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt")
    assert_same(fit(batches, strategy, cpu, tmp_path / "whole.pt"), resumed)


def test_training_on_features_resumes_too(cpu, make_strategy, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, N, 6)).astype(np.float32)
    features[:, ::2, 0] += 2
    rows = {"train": np.arange(13), "val": np.arange(13, N)}
    labels = {part: positions % 2 for part, positions in rows.items()}
    sampling = Sampling(4, "balanced", 0)
    batches = FeatureBatches(features, Examples(rows, labels), sampling, cpu)
    strategy = make_strategy({"train": "head", "epochs": 5, "schedule": "one_cycle"})

    def head() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("head", nn.Linear(6, 2))
        return model

    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt", model=head())
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=3, model=head())
    assert_same(whole, fit(batches, strategy, cpu, tmp_path / "cut.pt", model=head()))


def test_history_has_its_columns_and_phases(cache, cpu, make_strategy, tmp_path):
    _, progress = fit(image_batches(cache, cpu), make_strategy(*LP_FT), cpu, tmp_path / "r.pt")
    assert list(progress.history[0]) == [
        "epoch", "phase", "lr", "train_loss", "train_accuracy",
        "images_per_second", "val_loss", "val_accuracy", "seconds",
    ]  # fmt: skip
    assert [row["phase"] for row in progress.history] == [0, 0, 1, 1, 1]
    for row in progress.history:
        assert row["seconds"] > 0 and row["images_per_second"] > 0
        assert 0 <= row["train_accuracy"] <= 1 and row["val_loss"] > 0


def test_reported_losses_are_those_of_the_model(cache, cpu, make_strategy, tmp_path):
    batches = image_batches(cache, cpu)
    model, progress = fit(batches, make_strategy({"epochs": 3}), cpu, tmp_path / "r.pt")
    model.eval()
    images, labels = next(batches.val())  # first of two batches, so weigh both by size
    rest, others = list(batches.val())[1]
    with torch.no_grad():
        logits = model(torch.cat([images, rest]))
    labels = torch.cat([labels, others])
    assert progress.history[-1]["val_loss"] == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-5
    )
    assert progress.history[-1]["val_accuracy"] == (logits.argmax(1) == labels).double().mean()


class Scripted:
    """Batches whose validation result a script decides: (accuracy of 10, confidence) by epoch."""

    sizes: ClassVar = [2]
    resident = False

    def __init__(self, script: list[tuple[int, float]]) -> None:
        self.script = iter(script)

    def train(self, epoch: int):
        yield torch.zeros(2, 1), torch.tensor([0, 1])

    def val(self):
        right, confidence = next(self.script)
        inputs = torch.full((10, 1), confidence)
        yield inputs, torch.tensor([0] * right + [1] * (10 - right))


class Fixed(nn.Module):
    """Says class 0 with the confidence that the input carries; learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2)
        self.epoch = nn.Buffer(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.epoch += 1
        return torch.cat([x, torch.zeros_like(x)], 1) + 0 * self.fc(x)


@pytest.mark.parametrize(
    ("script", "best"),
    [
        ([(6, 1.0), (8, 1.0), (7, 1.0)], 2),  # the highest accuracy
        ([(8, 1.0), (8, 1.4), (8, 1.2)], 2),  # at equal accuracy the lowest loss: log-odds 1.386
        ([(8, 1.0), (8, 1.0), (8, 1.0)], 1),  # at equal both the first
        ([(6, 0.4), (8, 9.0), (7, 0.8)], 2),  # accuracy before loss
        ([(0, 1.0), (0, 0.5), (0, 1.0)], 2),  # even when nothing is right
    ],
)
def test_the_best_epoch_is_chosen_on_validation(cpu, make_strategy, tmp_path, script, best):
    strategy = make_strategy({"epochs": 3})
    _, progress = fit(Scripted(script), strategy, cpu, tmp_path / "r.pt", model=Fixed())
    assert progress.best_epoch == best
    assert progress.best_model["epoch"] == best  # the weights of that very epoch


class Greedy(nn.Module):
    """Asks for a pebibyte, which no machine has."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.empty(1 << 48)[: len(images), None])


def test_too_little_memory_names_the_batch_size(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy({"train": "all", "epochs": 1})
    with pytest.raises(HeadstartError, match=r"with batches of 8 on .* lower training.batch_size"):
        fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt", model=Greedy())


def test_divergence_names_the_learning_rate(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy(
        {"train": "head", "epochs": 1}, {"epochs": 3, "lr": 1e30, "optimizer": "sgd"}
    )
    with pytest.raises(HeadstartError) as caught:
        fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt")
    text = str(caught.value)
    assert "phases[1].lr" in text and "training diverged" in text and "\n" not in text
    # and the broken epoch is not what a rerun goes on from
    assert ResumeFile(tmp_path / "r.pt", "key").load().epoch == 1


def test_clipping_bounds_the_gradient(cache, cpu, make_strategy, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.SGD.step

    def recording(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", recording)
    phase = {"epochs": 2, "optimizer": "sgd"}
    batches = image_batches(cache, cpu)
    fit(batches, make_strategy(phase, gradient_clip=0.01), cpu, tmp_path / "clipped.pt")
    assert len(norms) == 6 and max(norms) <= 0.01 * (1 + 1e-4)
    norms.clear()
    fit(batches, make_strategy(phase), cpu, tmp_path / "free.pt")
    assert min(norms) > 0.01


def test_a_backbone_frozen_on_a_gpu_keeps_every_bit(cache, gpu, make_strategy, tmp_path):
    before = {k: v.clone() for k, v in small_model().state_dict().items()}
    strategy = make_strategy({"train": "head", "epochs": 2, "lr": 0.01})
    model = small_model().to("cuda")
    fit(image_batches(cache, gpu), strategy, gpu, tmp_path / "r.pt", model=model)
    after = {k: v.cpu() for k, v in model.state_dict().items()}
    assert all(torch.equal(after[k], v) == (not k.startswith("fc")) for k, v in before.items())


def test_the_last_epoch_is_kept_where_asked(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy({"epochs": 4, "lr": 0.05}, select_by="last")
    model, progress = fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt")
    assert progress.best_epoch == 4
    assert all(torch.equal(progress.best_model[k], v) for k, v in model.state_dict().items())


def test_a_training_adds_up_what_it_takes_of_the_device(cache, cpu, make_strategy, tmp_path):
    """Also over an interruption: what the first attempt took is not forgotten."""
    strategy, batches = make_strategy({"epochs": 3}), image_batches(cache, cpu)
    before = time.process_time()
    _, progress = fit(batches, strategy, cpu, tmp_path / "r.pt")
    assert 0 < progress.device_seconds < time.process_time() - before
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=2)
    saved = torch.load(tmp_path / "cut.pt", weights_only=True)["device_seconds"]
    _, resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt")
    assert resumed.device_seconds > saved > 0
