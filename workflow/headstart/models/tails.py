"""The part of a backbone that trains, cut off from the frozen part before it.

What the frozen part computes never changes, so it is computed once for every image (see
`training.prefix`) and training goes on from there.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from headstart.experiment.config import Phase
from headstart.models import layers

if TYPE_CHECKING:
    Hook = Callable[[str, torch.Tensor], None]


def trained_names(model: nn.Module, stages: int) -> set[str]:
    """Names of the parameters of the last stages and of the head."""
    body, head = layers.trainable_names(model, Phase("last_k_stages", stages=stages))
    return {*body, *head}


def received(model: nn.Module, trained: set[str], images: torch.Tensor) -> torch.Tensor:
    """What the first layer with a trained parameter receives for a batch, (n, ...)."""
    inputs: list[torch.Tensor] = []
    own = _own_parameters(model)

    def note(name: str, x: torch.Tensor) -> None:
        if not inputs and own[name] & trained:
            inputs.append(x.clone())

    _run(model, images, note)
    return inputs[0]


def tail(model: nn.Module, trained: set[str], size: int) -> nn.Module | None:
    """A copy of the model that begins with its first trained layer.

    The layers before it, in the order in which a forward pass calls them, are taken out. That
    works where the model calls them in a chain; None where the copy's output for noise is not the
    model's, or where frozen parameters are left.

    Args:
        model: in eval mode, on the CPU.
        size: side of the images, pixels.
    """
    noise = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    own = _own_parameters(model)
    before: list[str] = []
    after: list[str] = []

    def note(name: str, x: torch.Tensor) -> None:
        (after if after or own[name] & trained else before).append(name)

    expected = _run(model, noise, note)
    copied = copy.deepcopy(model)
    for name in _outermost(before, after):
        copied.set_submodule(name, nn.Identity())
    try:
        with torch.inference_mode():
            output = copied(received(model, trained, noise))
            same = torch.allclose(output, expected, rtol=1e-3, atol=1e-4)
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError):
        return None  # what comes before is more than a chain of layers
    if not same or {name for name, _ in copied.named_parameters()} != trained:
        return None
    groups = [[name for name in group if name in trained] for group in layers.stages(model)]
    copied.declared_stages = list(filter(None, groups))  # type: ignore[assignment]
    return copied


def _leaves(model: nn.Module) -> dict[str, nn.Module]:
    return {name: m for name, m in model.named_modules() if not list(m.children())}


def _own_parameters(model: nn.Module) -> dict[str, set[str]]:
    return {k: {path for path, _ in m.named_parameters(k)} for k, m in _leaves(model).items()}


def _run(model: nn.Module, images: torch.Tensor, note: "Hook") -> torch.Tensor:
    """A forward pass that tells each layer's name and input as the layer is called."""

    def hook(name: str) -> "Callable[[nn.Module, tuple[torch.Tensor, ...]], None]":
        return lambda _, inputs: note(name, inputs[0])

    hooks = [m.register_forward_pre_hook(hook(name)) for name, m in _leaves(model).items()]
    try:
        with torch.inference_mode():
            output: torch.Tensor = model(images)
    finally:
        for handle in hooks:
            handle.remove()
    return output


def _outermost(before: list[str], after: list[str]) -> list[str]:
    """The largest modules with layers called before the cut and none called after it."""
    late = {path for name in after for path in _paths(name)}
    found = (next((path for path in _paths(name) if path not in late), "") for name in before)
    return list(dict.fromkeys(filter(None, found)))


def _paths(name: str) -> list[str]:
    """The module's name after those of the modules around it, from the outermost: a, a.b, a.b.c."""
    steps = name.split(".")
    return [".".join(steps[: count + 1]) for count in range(len(steps))]
