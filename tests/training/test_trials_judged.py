"""What a trial is judged by: the loss of each validation image, as if the model were calibrated."""

import json

import numpy as np
import pytest
import torch
from small_training import run_name
from torch.nn import functional as F

from headstart.training import inputs, loop, trials
from headstart.training.checkpoints import ResumeFile
from headstart.training.jobs import Job
from headstart.training.journal import Journal


@pytest.fixture
def trained(files, outputs, cpu, make_strategy, tmp_path):
    strategy = make_strategy({"train": "all", "epochs": 3, "lr": 0.02})
    given = inputs.read(Job(run_name("any"), strategy, files, outputs), cpu)
    task, batches = inputs.prepare(given)
    return given, loop.fit(task, batches, strategy, 0, Journal(ResumeFile(tmp_path / "r", "k")))


@torch.inference_mode()
def logits_of_validation(given, progress) -> tuple[torch.Tensor, torch.Tensor]:
    task, batches = inputs.prepare(given)
    whole = inputs.whole_model(given, progress)
    pairs = [(whole(images.float()), labels) for images, labels in batches.val()]
    return tuple(torch.cat(parts) for parts in zip(*pairs, strict=True))


def test_the_losses_are_those_of_the_best_temperature(trained):
    given, progress = trained
    logits, labels = logits_of_validation(given, progress)
    found = trials.refined_losses(given, progress)
    assert found.shape == labels.shape
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 400))
    losses = [F.cross_entropy(logits / t, labels).item() for t in grid]
    assert found.mean() == pytest.approx(min(losses), abs=2e-3)
    best = grid[int(np.argmin(losses))]
    each = F.cross_entropy(logits / best, labels, reduction="none")
    assert found == pytest.approx(each.numpy(), abs=2e-2)


def test_a_trial_says_what_it_tried_and_how_it_validates(trained, tmp_path):
    given, progress = trained
    trials.write(given, tmp_path / "trial.json", progress)
    trial = json.loads((tmp_path / "trial.json").read_text())
    assert trial["tried"] == {"lr": 0.02, "norm": "batch"}
    assert trial["val_loss"] == pytest.approx(np.mean(trial["losses"]))
    assert trial["val_accuracy"] == progress.history[progress.best_epoch - 1]["val_accuracy"]
