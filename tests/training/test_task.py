"""The seam of training: what the loop is given decides how a network trains and what is kept."""

import copy

import pytest
import torch
from small_training import (
    LP_FT,
    Interrupted,
    assert_same,
    fit,
    image_batches,
    small_model,
)
from torch import nn
from torch.nn import functional as F

from headstart.models import layouts
from headstart.training.task import Task

DECAY = 0.8


class Averaged(Task):
    """Keeps an exponential moving average of the weights and validates that."""

    average: nn.Module | None = None

    def begin(self, phase, steps_per_epoch):
        super().begin(phase, steps_per_epoch)
        if self.average is None:
            self.average = copy.deepcopy(self.model).eval()

    def step(self, inputs, targets):
        made = super().step(inputs, targets)
        means, now = self.average.state_dict(), self.model.state_dict()
        for name, mean in means.items():
            if mean.is_floating_point():
                mean.lerp_(now[name], 1 - DECAY)
            else:
                mean.copy_(now[name])
        return made

    def infer(self, inputs):
        with layouts.autocast(self.device):
            return self.average(inputs).float()

    def kept(self):
        return {name: value.cpu().clone() for name, value in self.average.state_dict().items()}

    def state(self):
        return super().state() | {"average": self.kept()}

    def restore(self, state):
        super().restore(state)
        self.average.load_state_dict(state["average"])


def without_dropout() -> nn.Module:
    model = small_model()
    model.drop = nn.Identity()
    return model


def snapshot(model: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(model.state_dict())


def averaged(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The average by its closed form, in double precision; counts are those of the last step."""
    last = len(states) - 1
    shares = [(1 - DECAY) * DECAY ** (last - step) for step in range(1, last + 1)]
    shares = [DECAY**last, *shares]
    return {
        name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True))
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }


def test_an_average_of_the_weights_is_validated_and_kept(cache, cpu, make_strategy, tmp_path):
    """Beside a plain loop that remembers the weights after every step."""
    phase = {"epochs": 4, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}
    batches = image_batches(cache, cpu)
    trained, progress = fit(
        batches,
        make_strategy(phase),
        cpu,
        tmp_path / "r.pt",
        model=without_dropout(),
        kind=Averaged,
    )

    plain = without_dropout()
    optimizer = torch.optim.SGD(plain.parameters(), 0.05, momentum=0.9)
    states, averages = [snapshot(plain)], {}
    for epoch in range(1, 5):
        plain.train()
        for images, targets in batches.train(epoch):
            optimizer.zero_grad()
            F.cross_entropy(plain(images), targets).backward()
            optimizer.step()
            states.append(snapshot(plain))
        averages[epoch] = averaged(states)

    close = {"rtol": 1e-4, "atol": 1e-6, "check_dtype": False}
    torch.testing.assert_close(dict(trained.state_dict()), dict(plain.state_dict()), **close)
    torch.testing.assert_close(progress.best_model, averages[progress.best_epoch], **close)
    torch.testing.assert_close(progress.task["average"], averages[4], **close)
    assert not torch.allclose(averages[4]["fc.weight"], plain.fc.weight.double(), rtol=0.01)
    images, targets = (torch.cat(parts) for parts in zip(*batches.val(), strict=True))
    for row in progress.history:
        plain.load_state_dict(averages[row["epoch"]])
        with torch.no_grad():
            logits = plain.eval()(images)
        assert row["val_loss"] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-4)
        assert row["val_accuracy"] == (logits.argmax(1) == targets).double().mean()


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_an_average_outlives_an_interruption_bit_for_bit(cache, cpu, make_strategy, tmp_path, stop):
    batches, strategy = image_batches(cache, cpu), make_strategy(*LP_FT)
    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt", kind=Averaged)
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=stop, kind=Averaged)
    torch.manual_seed(12345)
    resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt", kind=Averaged)
    assert_same(whole, resumed)
    one, other = whole[1].task["average"], resumed[1].task["average"]
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_running_statistics_of_a_batch_norm_may_be_frozen(cache, cpu, make_strategy, tmp_path):
    """Scale and shift train on."""
    batches, phase = image_batches(cache, cpu), {"epochs": 2, "lr": 0.01}
    before = snapshot(small_model())
    frozen = make_strategy(phase | {"norm": "frozen"})
    model, progress = fit(batches, frozen, cpu, tmp_path / "frozen.pt")
    usual, _ = fit(batches, make_strategy(phase), cpu, tmp_path / "usual.pt")
    statistics = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert statistics < before.keys()
    for name, value in before.items():
        kept = name in statistics
        assert torch.equal(model.state_dict()[name], value) == kept, name
        assert torch.equal(progress.best_model[name], value) == kept, name
        assert not torch.equal(usual.state_dict()[name], value), name
