"""What a phase trains, and with which optimizer and learning-rate schedule."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headstart.experiment.config import Phase, Strategy
from headstart.models import layers

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


def begin_phase(model: "nn.Module", phase: Phase) -> "Optimizer":
    """Freeze what the phase does not train and make an optimizer for the rest."""
    import torch

    body, head = layers.trainable_names(model, phase)
    layers.freeze_all_but(model, [*body, *head])
    parameters = dict(model.named_parameters())
    rates = [*_body_rates(model, body, phase), (head, phase.lr * phase.head_lr_multiplier)]
    groups = [
        {"params": [parameters[name] for name in names], "lr": lr} for names, lr in rates if names
    ]
    shared: dict[str, Any] = {"lr": phase.lr, "weight_decay": phase.weight_decay, "fused": True}
    if phase.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=phase.momentum, **shared)
    kind = torch.optim.Adam if phase.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, **shared)


def _body_rates(model: "nn.Module", body: list[str], phase: Phase) -> list[tuple[list[str], float]]:
    """Body parameters with their learning rates, which may fall with the distance from the head.

    Discriminative rates by depth are those of Howard & Ruder 2018.
    """
    if phase.layer_lr_decay == 1 or not body:
        return [(body, phase.lr)]
    groups = layers.stages(model)
    trained = set(body)
    return [
        ([name for name in names if name in trained], phase.lr * phase.layer_lr_decay**depth)
        for depth, names in enumerate(reversed(groups))
    ]


def epoch_sizes(strategy: Strategy, size: int) -> list[int]:
    """Side of the training images in each epoch, pixels: multiples of 16 up to `size`.

    In a phase with a start_size images grow linearly, as in Tan & Le 2021 (EfficientNetV2).
    """
    sizes: list[int] = []
    for phase in strategy.phases:
        start, last = phase.start_size or size, phase.epochs - 1
        grown = [start + (size - start) * epoch / max(1, last) for epoch in range(last)]
        sizes += [size if start == size else min(size, 16 * round(side / 16)) for side in grown]
        sizes.append(size)
    return sizes


def scheduler(optimizer: "Optimizer", phase: Phase, steps_per_epoch: int) -> "LRScheduler":
    """A scheduler to be stepped once per optimizer step.

    one_cycle is Smith & Topin 2018 as torch implements it, cosine is Loshchilov & Hutter 2017
    without restarts after a linear warm-up, step multiplies by gamma every step_size epochs and
    stops at min_lr.
    """
    from torch.optim import lr_scheduler

    total = phase.epochs * steps_per_epoch
    peaks = [group["lr"] for group in optimizer.param_groups]
    if phase.schedule == "one_cycle" and total > 1:
        # A rise that ends on the first step is none, and torch would divide by its length.
        rise = phase.warmup if phase.warmup * total > 1 else 0.0
        return lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=total, pct_start=rise)
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
