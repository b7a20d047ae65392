"""The training loop: phases, epochs, steps."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from headstart import HeadstartError
from headstart.compute import devices, parallel
from headstart.experiment.config import Strategy, Training
from headstart.models import layers, layouts
from headstart.training import graphs, strategies
from headstart.training.checkpoints import Progress, ResumeFile

if TYPE_CHECKING:
    from torch import nn

    from headstart.views.batches import Batches

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

logger = logging.getLogger(__name__)

_LOGGED = 10


def fit(
    model: "nn.Module",
    batches: "Batches",
    strategy: Strategy,
    loss: "Loss",
    device: devices.Device,
    seed: int,
    resume: ResumeFile,
    begin: Callable[[Progress], None],
    on_save: Callable[[Progress], None],
) -> Progress:
    """Train through all phases, going on from a resume file where there is one.

    The file is written after the first and the last epoch, and between them after every epoch,
    or, where epochs are short, after so many that writing takes little of the time.

    The kept model is that of the epoch with the best validation score; which score, the
    strategy's training settings say.

    Where several processes train together, all call this, each with its share of the batches.
    All read the resume file; only the first writes it and calls `begin` and `on_save`.

    Args:
        model: on the device; holds the last epoch's weights afterwards.
        begin: called once before the first step; may set `mlflow_run_id`.
        on_save: called after each writing of the file.

    Returns:
        The progress after the last epoch: history, best model and its epoch.

    Raises:
        HeadstartError: the loss is not finite.
    """
    progress = resume.load()
    parallel.meet()  # the first process may write over the file or remove it from here on
    if progress.epoch:
        model.load_state_dict(progress.model)
    parallel.first_only(begin)(progress)
    first = 1
    for index, phase in enumerate(strategy.phases):
        last = first + phase.epochs - 1
        if progress.epoch < last:
            optimizer = strategies.begin_phase(model, phase)
            schedule = strategies.scheduler(optimizer, phase, len(batches.sizes))
            network = graphs.wrap(parallel.wrap(model), device, batches.resident)
            if progress.epoch >= first:
                optimizer.load_state_dict(progress.optimizer)
                schedule.load_state_dict(progress.scheduler)
            for epoch in range(max(first, progress.epoch + 1), last + 1):
                draws = np.random.default_rng([seed, epoch, 2, parallel.rank()])
                torch.manual_seed(int(draws.integers(2**63)))
                row: dict[str, float] = {"epoch": epoch, "phase": index}
                row["lr"] = optimizer.param_groups[0]["lr"]
                settings = strategy.training
                row |= _train_epoch(
                    model, network, batches, epoch, optimizer, schedule, loss, device, settings
                )
                row |= _validate(model, batches, loss, device)
                row["seconds"] = row.pop("train_seconds") + row.pop("val_seconds")
                _require_finite(row, index)
                _remember(progress, row, model, settings.select_by)
                if epoch % max(1, strategy.epochs // _LOGGED) == 0 or epoch == strategy.epochs:
                    _log(row)
                if resume.due() or epoch == strategy.epochs:
                    _hold(progress, model, optimizer, schedule)
                    parallel.first_only(resume.save)(progress)
                    parallel.first_only(on_save)(progress)
        first = last + 1
    return progress


def _train_epoch(
    model: "nn.Module",
    network: graphs.Network,
    batches: "Batches",
    epoch: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    loss: "Loss",
    device: devices.Device,
    settings: Training,
) -> dict[str, float]:
    layers.train_mode(model)
    total = torch.zeros((), dtype=torch.float64, device=device.type)
    correct = torch.zeros((), dtype=torch.int64, device=device.type)
    seen = 0
    started = time.perf_counter()
    steps, hidden = len(batches.sizes), parallel.rank() > 0 or None
    bar = tqdm(batches.train(epoch), f"epoch {epoch}", steps, leave=False, disable=hidden)
    for (inputs, targets), size in zip(bar, batches.sizes, strict=True):
        targets = parallel.gathered(targets, size)
        optimizer.zero_grad(set_to_none=True)
        value, logits = _gradients(network, inputs, targets, loss, device, settings)
        if settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        schedule.step()
        total += value * len(targets)
        wanted = targets if targets.ndim == 1 else targets.argmax(1)
        correct += (logits.argmax(1) == wanted).sum()
        seen += len(targets)
    mean_loss, accuracy = total.item() / seen, correct.item() / seen
    seconds = time.perf_counter() - started
    return {
        "train_loss": mean_loss,
        "train_accuracy": accuracy,
        "train_seconds": seconds,
        "images_per_second": seen / seconds,
    }


def _gradients(
    network: graphs.Network,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    loss: "Loss",
    device: devices.Device,
    settings: Training,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Leave the parameters' gradients; returns loss and logits (n, K), cut off from the graph.

    No part of one step's graph may live on into the next, which could not be captured then.
    """
    with layouts.autocast(device):
        logits = parallel.gathered(network(inputs).float(), len(targets))
        value = loss(logits, targets)
    (value * len(targets) if settings.loss_reduction == "sum" else value).backward()
    return value.detach(), logits.detach()


@torch.inference_mode()
def _validate(
    model: "nn.Module", batches: "Batches", loss: "Loss", device: devices.Device
) -> dict[str, float]:
    model.eval()
    started = time.perf_counter()
    total = torch.zeros((), dtype=torch.float64, device=device.type)
    correct = torch.zeros((), dtype=torch.int64, device=device.type)
    seen = 0
    for inputs, targets in batches.val():
        with layouts.autocast(device):
            logits = model(inputs).float()
        total += loss(logits, targets).double() * len(targets)
        correct += (logits.argmax(1) == targets).sum()
        seen += len(targets)
    return {
        "val_loss": total.item() / seen,
        "val_accuracy": correct.item() / seen,
        "val_seconds": time.perf_counter() - started,
    }


def _require_finite(row: dict[str, float], phase: int) -> None:
    if not np.isfinite(row["train_loss"]) or not np.isfinite(row["val_loss"]):
        raise HeadstartError(
            f"the loss is {row['train_loss']} in epoch {row['epoch']:.0f}: training diverged; "
            f"lower phases[{phase}].lr of this strategy, or set training.gradient_clip"
        )


def _remember(
    progress: Progress, row: dict[str, float], model: "nn.Module", select_by: str
) -> None:
    progress.epoch = int(row["epoch"])
    progress.history.append(row)
    if progress.improves(row, select_by):
        progress.best_model = _state(model)


def _hold(
    progress: Progress,
    model: "nn.Module",
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    newest = progress.best_epoch == progress.epoch
    progress.model = progress.best_model if newest else _state(model)
    progress.optimizer, progress.scheduler = optimizer.state_dict(), schedule.state_dict()


def _state(model: "nn.Module") -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}


def _log(row: dict[str, float]) -> None:
    logger.info(
        "epoch %d: loss %.3f, accuracy %.3f; val loss %.3f, accuracy %.3f; %.0f images/s",
        row["epoch"],
        row["train_loss"],
        row["train_accuracy"],
        row["val_loss"],
        row["val_accuracy"],
        row["images_per_second"],
    )
