"""The training loop: phases, epochs, steps."""

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from headstart import HeadstartError
from headstart.compute import devices, memory, parallel
from headstart.experiment.config import Strategy
from headstart.training.checkpoints import Progress
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views.batches import Batches

logger = logging.getLogger(__name__)

_LOGGED = 10


def fit(task: Task, batches: Batches, strategy: Strategy, seed: int, journal: Journal) -> Progress:
    """Train through all phases, going on from the journal's last saved epoch where there is one.

    The strategy's training settings say which epoch's model is kept. Where several processes
    train together, all call this, each with its share of the batches.

    Returns:
        The progress after the last epoch: history, kept model and its epoch.

    Raises:
        HeadstartError: the loss is not finite, or memory does not suffice.
    """
    progress = journal.open()
    task.parts.most = progress.at_once
    with _bar(strategy, batches, progress.epoch) as bar, logging_redirect_tqdm():
        first = 1
        for index, phase in enumerate(strategy.phases):
            epochs = range(first, first + phase.epochs)
            first = epochs.stop
            if not epochs or progress.epoch >= epochs.stop:
                continue
            task.begin(phase, len(batches.sizes))
            if progress.epoch in epochs:
                task.restore(progress.task)
            for epoch in range(max(epochs.start, progress.epoch + 1), epochs.stop):
                bar.set_description(f"epoch {epoch} of {strategy.epochs}")
                draws = np.random.default_rng([seed, epoch, 2, parallel.rank()])
                torch.manual_seed(int(draws.integers(2**63)))
                row: dict[str, float] = {"epoch": epoch, "phase": index, "lr": task.lr}
                started = devices.seconds_spent(task.device)
                with _memory(task):
                    row |= _train_epoch(task, batches, epoch, bar)
                    row |= _validate(task, batches)
                progress.device_seconds += devices.seconds_spent(task.device) - started
                progress.at_once = task.parts.most
                row["seconds"] = row.pop("train_seconds") + row.pop("val_seconds")
                _require_finite(row, index)
                progress.add(row, strategy.training.select_by, task.kept)
                if epoch % max(1, strategy.epochs // _LOGGED) == 0 or epoch == strategy.epochs:
                    _log(row)
                if journal.due() or epoch == strategy.epochs:
                    progress.task = task.state()
                    journal.save(progress)
    return progress


def _bar(strategy: Strategy, batches: Batches, done: int) -> "tqdm[NoReturn]":
    """A bar over the images of all epochs, on a terminal; of several processes the first has it."""
    images, hidden = sum(batches.sizes), parallel.rank() > 0 or None
    total, initial = images * strategy.epochs, images * done
    return tqdm(total=total, initial=initial, unit=" images", leave=False, disable=hidden)


@contextlib.contextmanager
def _memory(task: Task) -> Iterator[None]:
    """Say which settings decide the memory where there is too little."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not memory.ran_out(error):
            raise
        settings = task.settings
        what = f"out of memory with batches of {settings.batch_size} on {task.device}"
        if settings.in_parts:
            raise HeadstartError(f"{what}, even in parts: {memory.REMEDY}") from None
        auto = " or set it to auto" if settings.gpus == 1 else ""
        raise HeadstartError(
            f"{what}: lower training.batch_size of this strategy{auto}, or {memory.REMEDY}"
        ) from None


def _train_epoch(
    task: Task, batches: Batches, epoch: int, bar: "tqdm[NoReturn]"
) -> dict[str, float]:
    task.train_mode()
    total = torch.zeros((), dtype=torch.float64, device=task.device.type)
    correct = torch.zeros((), dtype=torch.int64, device=task.device.type)
    seen = 0
    started = time.perf_counter()
    for (inputs, share), size in zip(batches.train(epoch), batches.sizes, strict=True):
        targets = parallel.gathered(share, size)
        value, logits = task.step(inputs, targets)
        total += value * len(targets)
        wanted = targets if targets.ndim == 1 else targets.argmax(1)
        correct += (logits.argmax(1) == wanted).sum()
        seen += len(targets)
        bar.update(len(targets))
    mean_loss, accuracy = total.item() / seen, correct.item() / seen
    seconds = time.perf_counter() - started
    return {
        "train_loss": mean_loss,
        "train_accuracy": accuracy,
        "train_seconds": seconds,
        "images_per_second": seen / seconds,
    }


@torch.inference_mode()
def _validate(task: Task, batches: Batches) -> dict[str, float]:
    task.infer_mode()
    started = time.perf_counter()
    total = torch.zeros((), dtype=torch.float64, device=task.device.type)
    correct = torch.zeros((), dtype=torch.int64, device=task.device.type)
    seen = 0
    for inputs, targets in batches.val():
        logits = task.infer(inputs)
        total += task.loss(logits, targets).double() * len(targets)
        correct += (logits.argmax(1) == targets).sum()
        seen += len(targets)
    return {
        "val_loss": total.item() / seen,
        "val_accuracy": correct.item() / seen,
        "val_seconds": time.perf_counter() - started,
    }


def _require_finite(row: dict[str, float], phase: int) -> None:
    for name, column in (("training", "train_loss"), ("validation", "val_loss")):
        loss = row[column]
        if not np.isfinite(loss):
            raise HeadstartError(
                f"the {name} loss is {loss} in epoch {row['epoch']:.0f}: training diverged; "
                f"lower phases[{phase}].lr of this strategy, or set training.gradient_clip"
            )


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
