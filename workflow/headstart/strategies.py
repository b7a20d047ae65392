"""What a phase trains, and with which optimizer and learning-rate schedule."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from headstart import HeadstartError, backbones
from headstart.config import Phase

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def trainable_names(model: "nn.Module", phase: Phase) -> tuple[list[str], list[str]]:
    """Names of the body's and of the head's parameters that `phase` trains."""
    prefix = backbones.head_name(model) + "."
    names = [name for name, _ in model.named_parameters()]
    head = [name for name in names if name.startswith(prefix)]
    if phase.train == "head":
        return [], head
    if phase.train == "all":
        return [name for name in names if not name.startswith(prefix)], head
    groups = backbones.stages(model)
    if phase.stages is None or phase.stages > len(groups):
        raise HeadstartError(
            f"phases.stages is {phase.stages}, but the backbone has {len(groups)} stages"
        )
    return [name for group in groups[-phase.stages :] for name in group], head


def begin_phase(model: "nn.Module", phase: Phase) -> "Optimizer":
    """Freeze what the phase does not train and make an optimizer for the rest."""
    import torch

    body, head = trainable_names(model, phase)
    backbones.freeze_all_but(model, [*body, *head])
    parameters = dict(model.named_parameters())
    groups = [
        {"params": [parameters[name] for name in body], "lr": phase.lr},
        {"params": [parameters[name] for name in head], "lr": phase.lr * phase.head_lr_multiplier},
    ]
    groups = [group for group in groups if group["params"]]
    decay = phase.weight_decay
    if phase.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=phase.lr, momentum=phase.momentum, weight_decay=decay)
    kind = torch.optim.Adam if phase.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=phase.lr, weight_decay=decay)


def scheduler(optimizer: "Optimizer", phase: Phase, steps_per_epoch: int) -> "LRScheduler":
    """A scheduler to be stepped once per optimizer step.

    one_cycle is Smith & Topin 2018 as torch implements it, cosine is Loshchilov & Hutter 2017
    without restarts after a linear warm-up, step multiplies by gamma every step_size epochs and
    stops at min_lr.
    """
    from torch.optim import lr_scheduler

    total = phase.epochs * steps_per_epoch
    peaks = [group["lr"] for group in optimizer.param_groups]
    if phase.schedule == "one_cycle":
        return lr_scheduler.OneCycleLR(
            optimizer, peaks, total_steps=total, pct_start=phase.warmup or 1 / total
        )
    if phase.schedule == "cosine":
        return _cosine(optimizer, phase, total)
    if phase.schedule == "step":
        floors = [phase.min_lr / peak for peak in peaks]
        drop = phase.step_size * steps_per_epoch
        return lr_scheduler.LambdaLR(optimizer, [_stairs(phase.gamma, drop, f) for f in floors])
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def _stairs(gamma: float, drop: int, floor: float) -> Callable[[int], float]:
    return lambda step: max(gamma ** (step // drop), floor)


def _cosine(optimizer: "Optimizer", phase: Phase, total: int) -> "LRScheduler":
    from torch.optim import lr_scheduler

    rise = math.floor(phase.warmup * total)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, max(1, total - rise), eta_min=phase.min_lr)
    if rise == 0:
        return fall
    warm = lr_scheduler.LinearLR(optimizer, start_factor=1 / rise, total_iters=rise)
    return lr_scheduler.SequentialLR(optimizer, [warm, fall], milestones=[rise])
