"""Too little memory for a batch: it goes in parts, and the result is that of the whole."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import short_of_memory
import torch
from small_training import (
    IMAGE,
    Interrupted,
    N,
    assert_same,
    fit,
    image_batches,
    run_name,
    small_model,
)
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from headstart import HeadstartError, prediction
from headstart.compute import devices
from headstart.models import backbones
from headstart.models.backbones import Prepared
from headstart.training import features, losses, runs
from headstart.training.jobs import Job
from headstart.training.task import Task

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
FROZEN = {"epochs": 3, "lr": 0.02, "norm": "frozen", "schedule": "one_cycle"}


@contextlib.contextmanager
def room_for(most: int, kind: type = nn.Linear, training: bool = True) -> Iterator[None]:
    """Layers of a kind ask for a pebibyte, which no machine has, where they get more examples."""

    def ask(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, kind) and torch.is_grad_enabled() == training:
            torch.empty(1 << 48 if len(inputs[0]) > most else 1)

    hook = register_module_forward_pre_hook(ask)
    try:
        yield
    finally:
        hook.remove()


def without_dropout() -> nn.Module:
    model = small_model()
    model.drop = nn.Identity()
    return model


def stepped(strategy, device, targets: torch.Tensor, at_once: int | None) -> tuple:
    """Loss, logits and gradients of a step on 7 images of 3 classes."""
    model = without_dropout()
    model.fc = nn.Linear(16, 3)
    with torch.no_grad():
        model.fc.weight.copy_(torch.linspace(-1, 1, 48).view(3, 16))
    counts = np.array([0, 0, 0, 0, 1, 1, 2])
    loss = losses.loss_function(strategy.training, counts, device)
    task = Task(model, loss, strategy.training, device, False)
    task.parts.most = at_once
    task.begin(strategy.phases[0], 1)
    task.train_mode()
    images = torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    value, logits = task.step(images, targets)
    return value, logits, [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
@pytest.mark.parametrize("at_once", [1, 3, 4, 6])
def test_parts_add_up_to_the_whole_batch(cpu, make_strategy, at_once, loss, weights, soft):
    """Of uneven sizes, under weights, smoothing, a summed loss and a bound on the gradient."""
    settings = {"loss": loss, "class_weights": weights, "label_smoothing": 0.1}
    settings |= {"loss_reduction": "sum", "gradient_clip": 0.5}
    targets = torch.tensor([0, 2, 1, 0, 0, 1, 2])
    if soft:
        targets = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).softmax(1)
    whole = stepped(make_strategy(FROZEN, **settings), cpu, targets, None)
    strategy = make_strategy(FROZEN, in_parts=True, **settings)
    torch.testing.assert_close(stepped(strategy, cpu, targets, at_once), whole, **CLOSE)


def test_with_room_enough_every_bit_is_that_of_a_number(cache, cpu, make_strategy, tmp_path):
    batches, phase = image_batches(cache, cpu), {"epochs": 3, "lr": 0.02}
    number = fit(batches, make_strategy(phase), cpu, tmp_path / "number.pt")
    auto = fit(batches, make_strategy(phase, in_parts=True), cpu, tmp_path / "auto.pt")
    assert_same(number, auto)
    assert auto[1].at_once is None


def test_a_broken_try_leaves_no_trace(cpu, make_strategy):
    """Not in running statistics, nor in what dropout draws next, nor in the gradients."""
    strategy = make_strategy({"epochs": 1, "lr": 0.02}, in_parts=True)
    images, targets = torch.randn(8, 3, 16, 16), torch.arange(8) % 2
    states = []
    for most in (None, 2):
        model = small_model()
        loss = losses.loss_function(strategy.training, np.array([0, 1]), cpu)
        task = Task(model, loss, strategy.training, cpu, False)
        task.parts.most = most
        task.begin(strategy.phases[0], 3)
        task.train_mode()
        torch.manual_seed(5)
        with room_for(2) if most is None else contextlib.nullcontext():
            values = [task.step(images, targets)[0] for _ in range(3)]
        assert task.parts.most == 2
        states.append((values, model.state_dict()))
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_a_training_goes_on_in_parts_and_is_the_same(cache, cpu, make_strategy, tmp_path, caplog):
    """Also over an interruption: a resumed training does not try again what did not fit."""
    batches = image_batches(cache, cpu)
    strategy = make_strategy(FROZEN, in_parts=True)
    given = batches, strategy, cpu
    roomy = fit(*given, tmp_path / "roomy.pt", model=without_dropout())
    with room_for(1):
        short = fit(*given, tmp_path / "short.pt", model=without_dropout())
        assert [line for line in caplog.messages if "at once do not fit" in line] == [
            "4 images at once do not fit into the memory of test CPU: 2 at most from now on",
            "2 images at once do not fit into the memory of test CPU: 1 at most from now on",
        ]
        with pytest.raises(Interrupted):
            fit(*given, tmp_path / "cut.pt", stop_after=1, model=without_dropout())
        caplog.clear()
        resumed = fit(*given, tmp_path / "cut.pt", model=without_dropout())
    assert "do not fit" not in caplog.text
    assert (roomy[1].at_once, short[1].at_once) == (None, 1)
    assert_same(short, resumed)
    torch.testing.assert_close(short[0].state_dict(), roomy[0].state_dict(), **CLOSE)
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert short[1].history[-1][key] == pytest.approx(roomy[1].history[-1][key], abs=1e-5)


def test_where_not_even_one_image_fits_a_line_says_so(cache, cpu, make_strategy, tmp_path):
    batches = image_batches(cache, cpu)
    for norm, least in (("frozen", "1 image at"), ("batch", "2 images at")):
        strategy = make_strategy(FROZEN | {"norm": norm}, in_parts=True)
        with room_for(0), pytest.raises(HeadstartError, match=f"memory with {least} once on test"):
            fit(batches, strategy, cpu, tmp_path / "r.pt")


def test_an_error_of_another_kind_is_not_tried_again(cache, cpu, make_strategy, tmp_path, caplog):
    model = without_dropout()
    model.fc = nn.Linear(5, 2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        strategy = make_strategy(FROZEN, in_parts=True)
        fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt", model=model)
    assert "do not fit" not in caplog.text


def test_the_size_that_fits_is_in_the_run_s_record(
    files, outputs, make_strategy, fake_logs, monkeypatch
):
    logged: dict[str, float] = {}
    monkeypatch.setattr(runs.RunLog, "metrics", lambda _, values: logged.update(values))
    strategy = make_strategy(FROZEN | {"epochs": 1}, in_parts=True)
    with room_for(3):
        runs.train(Job(run_name("full"), strategy, files, outputs), threads=1)
    run = json.loads(outputs.run.read_text())
    assert run["images_at_once"] == 2
    settings = run["settings"]["strategy"]["training"]
    assert (settings["batch_size"], settings["in_parts"]) == (8, True)
    assert logged["images_at_once"] == 2


def test_evaluation_and_features_take_fewer_images_at_once(cache, cpu, files, tmp_path, caplog):
    backbone = Prepared.read(files.backbone, files.weights)
    model = backbones.build(backbone, 2).eval()
    classifier = prediction.Classifier(model, ["bright", "dark"], IMAGE, "cross_entropy")
    made = []
    for most in (N, 5):
        with room_for(most, nn.Conv2d, training=False):
            scored = prediction.probabilities(classifier, cache, cache.ids, cpu)
            features.extract(cache, backbone, [], 1, cpu, tmp_path / f"{most}.npy")
        made.append((scored, np.load(tmp_path / f"{most}.npy")))
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert caplog.text.count("18 images at once do not fit") == 2


def test_on_little_memory_auto_comes_to_the_same_end(make_strategy, tmp_path):
    """The allocator really fails: the process may have 100 MB more than torch itself takes."""
    phase = FROZEN | {"epochs": 1, "optimizer": "sgd"}
    strategies = make_strategy(phase, in_parts=True), make_strategy(phase, batch_size=16)
    job, result = tmp_path / "job", tmp_path / "result.pt"
    job.write_bytes(pickle.dumps(strategies))
    command = [sys.executable, short_of_memory.__file__, job, "100", result]
    own = {"PYTHONPATH": ":".join(sys.path), "GLIBC_TUNABLES": devices.GLIBC_TUNABLES}
    subprocess.run(command, check=True, env=os.environ | own)
    short, number, roomy = torch.load(result, weights_only=True)
    assert short["at_once"] < 16 and roomy["at_once"] is None
    torch.testing.assert_close(short["weights"], roomy["weights"], **CLOSE)
    assert "with batches of 16 on CPU" in number["error"]
    assert "lower training.batch_size of this strategy or set it to auto" in number["error"]


def test_a_gpu_s_memory_too(gpu, make_strategy, tmp_path):
    """The process may hold 200 MB more than it does, where a step asks for more."""
    device = replace(gpu, precision="fp32")
    auto = make_strategy(FROZEN | {"epochs": 2, "optimizer": "sgd"}, in_parts=True)
    roomy = short_of_memory.trained(auto, device, tmp_path / "roomy.pt")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    share = (torch.cuda.memory_reserved() + 200 * 2**20) / total
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        short = short_of_memory.trained(auto, device, tmp_path / "short.pt")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert roomy["at_once"] is None and short["at_once"] < 16
    torch.testing.assert_close(short["weights"], roomy["weights"], rtol=1e-3, atol=1e-4)
