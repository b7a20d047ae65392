"""Low-rank phases, and phases of biases and norms: what moves, what stays, what is kept."""

import json
from functools import partial

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file
from small_training import Interrupted, assert_same, fit, image_batches, run_name
from torch import nn

from headstart import HeadstartError
from headstart.models import adapters, layers
from headstart.training import adapted, inputs, runs
from headstart.training.adapted import Adapted
from headstart.training.checkpoints import ResumeFile
from headstart.training.jobs import Job
from headstart.training.task import Task

LORA = {"train": "lora", "norm": "frozen", "rank": 2, "epochs": 2, "lr": 0.02}
FEW = {"train": "biases_and_norms", "norm": "frozen", "epochs": 2, "lr": 0.02}
HEAD = {"train": "head", "epochs": 1, "lr": 0.02}
ALL = {"train": "all", "epochs": 1, "lr": 0.01}
KIND = partial(Adapted, seed=0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=2, drop_path_rate=0.1, zero_init_last=False)


@pytest.fixture
def trained(cache, cpu, make_strategy, tmp_path):
    """A network trained in the given phases, and the progress."""

    def trained(*phases: dict, resume: str = "r.pt", stop_after: int = 0):
        batches, strategy = image_batches(cache, cpu), make_strategy(*phases)
        given = {"model": network(), "kind": KIND, "stop_after": stop_after}
        return fit(batches, strategy, cpu, tmp_path / resume, **given)

    return trained


def moved(state: dict[str, torch.Tensor]) -> set[str]:
    before = network().state_dict()
    assert state.keys() == before.keys()
    return {name for name, value in before.items() if not torch.equal(value, state[name])}


def test_a_low_rank_phase_moves_matrices_and_the_head_alone(trained):
    model, progress = trained(LORA)
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]
    head = layers.head_name(model)
    matrices = {f"{name}.weight" for name in adapters.adaptable(network(), head)}
    for state in (progress.best_model, adapters.merged_state(model)):
        assert moved(state) == matrices | {f"{head}.weight", f"{head}.bias"}
        rank = torch.linalg.matrix_rank
        for name in matrices:
            change = (state[name] - network().state_dict()[name]).flatten(1)
            assert rank(change, rtol=1e-3) <= 2


def test_biases_and_norms_leave_every_other_bit_and_the_statistics(trained):
    model, progress = trained(FEW)
    head = layers.head_name(model)
    few = {*adapters.bias_and_norm_names(network()), f"{head}.weight", f"{head}.bias"}
    assert moved(progress.best_model) == moved(model.state_dict()) == few
    assert not any("running" in name or "num_batches" in name for name in few)


def test_what_is_kept_answers_as_what_was_validated(trained, cache, cpu):
    model, progress = trained(LORA | {"epochs": 1})
    images, targets = next(image_batches(cache, cpu).val())
    plain = network().eval()
    plain.load_state_dict(progress.best_model)
    with torch.inference_mode():
        logits = plain(images)
        torch.testing.assert_close(logits, model.eval()(images), rtol=1e-5, atol=1e-5)
    assert progress.history[0]["val_accuracy"] == (logits.argmax(1) == targets).double().mean()


def test_a_later_phase_goes_on_from_the_merged_weights(cache, cpu, make_strategy):
    strategy = make_strategy(LORA, ALL)
    task = Adapted(network(), nn.functional.cross_entropy, strategy.training, cpu, False, 0)
    images, targets = next(image_batches(cache, cpu).train(1))
    task.begin(strategy.phases[0], 1)
    task.train_mode()
    for _ in range(3):
        task.step(images, targets)
    kept, norms = task.kept(), {m for m in task.model.modules() if isinstance(m, nn.BatchNorm2d)}
    assert not any(norm.training for norm in norms)
    task.begin(strategy.phases[1], 1)
    task.train_mode()
    assert kept.keys() == task.kept().keys()
    assert all(torch.equal(kept[name], value) for name, value in task.kept().items())
    assert all(norm.training for norm in norms)
    assert all(parameter.requires_grad for parameter in task.model.parameters())


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_an_interruption_in_any_phase_changes_no_bit(trained, stop):
    phases = HEAD, LORA, LORA | {"epochs": 1, "layer_lr_decay": 0.5}, FEW | {"epochs": 2}
    whole = trained(*phases, resume="whole.pt")
    with pytest.raises(Interrupted):
        trained(*phases, resume="cut.pt", stop_after=stop)
    torch.manual_seed(12345)
    assert_same(whole, trained(*phases, resume="cut.pt"))


@pytest.fixture
def job(files, outputs, make_strategy):
    def job(*phases: dict) -> Job:
        return Job(run_name("few"), make_strategy(*phases), files, outputs)

    return job


@pytest.mark.parametrize(("phase", "kind"), [(LORA, Adapted), (FEW, Adapted), (ALL, Task)])
def test_the_phases_choose_the_task(job, cpu, phase, kind):
    assert type(inputs.prepare(inputs.read(job(HEAD, phase), cpu))[0]) is kind


@pytest.mark.parametrize("phase", [LORA, FEW])
def test_an_interrupted_run_leaves_plain_weights_and_the_right_counts(
    job, outputs, fake_logs, monkeypatch, phase
):
    save = ResumeFile.save

    def dying(self, progress):
        save(self, progress)
        if progress.epoch == 1:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ResumeFile, "save", dying)
        runs.train(job(phase), threads=1)
    runs.train(job(phase), threads=1)
    plain = timm.create_model("test_resnet", num_classes=2)
    plain.load_state_dict(load_file(outputs.model))
    run = json.loads(outputs.run.read_text())
    head = layers.head_name(plain)
    if phase is LORA:
        adapters.add(plain, head, 2, 0)
        names = adapters.low_rank_names(plain)
    else:
        names = adapters.bias_and_norm_names(plain)
    numbers = {key: value.numel() for key, value in plain.named_parameters()}
    trained = {*names, f"{head}.weight", f"{head}.bias"}
    assert run["trainable_parameters"] == sum(numbers[name] for name in trained)
    assert run["trainable_parameters"] < run["parameters"] / 2
    assert pd.read_csv(outputs.history).epoch.tolist() == [1, 2]


def test_a_network_without_matrices_is_refused_before_training(make_strategy):
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = body.append(nn.Linear(4, 2))
    with pytest.raises(HeadstartError, match="phases.train is 'lora'"):
        adapted.require_layers(model, make_strategy(ALL, LORA))
    adapted.require_layers(model, make_strategy(ALL, FEW))


def test_a_batch_of_one_is_enough_for_frozen_statistics(make_strategy, cpu):
    model, strategy = network(), make_strategy(FEW, LORA, batch_size=1)
    layers.require_batch(model, strategy, (3, 16, 16), [1])
    task = Adapted(model, nn.functional.cross_entropy, strategy.training, cpu, False, 0)
    for phase in strategy.phases:
        task.begin(phase, 1)
        task.train_mode()
        loss, _ = task.step(torch.zeros(1, 3, 16, 16), torch.tensor([1]))
        assert loss.isfinite()
