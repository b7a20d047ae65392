"""A batch in parts: the gradients add up to the batch's, and a broken try leaves no trace."""

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from headstart.compute.devices import Device

#: Logits of some of a batch's inputs in, logits (n, K) of the batch out.
Whole = Callable[[torch.Tensor], torch.Tensor]
#: Adds the gradients that come from some inputs, given the batch's targets; gives loss and logits.
Differentiate = Callable[[torch.Tensor, torch.Tensor, Whole], tuple[torch.Tensor, torch.Tensor]]


def in_parts(
    differentiate: Differentiate, inputs: torch.Tensor, targets: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Differentiate a batch's loss in parts; returns the loss and the logits (n, K).

    Each part's loss is that of the whole batch, in which other parts' logits are constants. As an
    example's gradient does not depend on other examples' logits, the sum is the gradient of the
    whole batch, whatever the weights of examples and the sizes of parts.

    Args:
        count: of the parts, whose sizes differ by one at most.
    """
    first, *others = inputs.tensor_split(count)
    value, logits = differentiate(first, targets, functools.partial(_amid, None, len(targets)))
    done = len(first)
    for part in others:
        whole = functools.partial(_amid, logits[:done], len(targets))
        value, logits = differentiate(part, targets, whole)
        done += len(part)
    return value, logits


def _amid(before: torch.Tensor | None, size: int, own: torch.Tensor) -> torch.Tensor:
    """Logits (size, K): those of the parts before, a part's own, and zeros for those to come."""
    known = own if before is None else torch.cat([before, own])
    return F.pad(known, (0, 0, 0, size - len(known)))


def remembered(model: nn.Module, device: Device) -> Callable[[], None]:
    """What puts random state and running statistics back to what they are now."""
    modules = [module for module in model.modules() if module.training]
    buffers = [buffer for module in modules for buffer in module.buffers(recurse=False)]
    kept = [buffer.clone() for buffer in buffers]
    drawn = torch.get_rng_state()
    drawn_there = torch.cuda.get_rng_state() if device.type == "cuda" else None

    def restore() -> None:
        for buffer, value in zip(buffers, kept, strict=True):
            buffer.copy_(value)
        torch.set_rng_state(drawn)
        if drawn_there is not None:
            torch.cuda.set_rng_state(drawn_there)

    return restore
