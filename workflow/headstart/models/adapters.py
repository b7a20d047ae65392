"""Few parameters in place of all: low-rank changes of weights (LoRA), or biases and norms alone."""

from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import nn
from torch.nn.utils import parametrize

from headstart import HeadstartError

if TYPE_CHECKING:
    Matrix = nn.Linear | nn.Conv2d
    State = dict[str, torch.Tensor]

#: Hu et al. 2021's alpha over the rank; they fix alpha, common practice since is twice the rank.
SCALE = 2.0


class LowRank(nn.Module):
    """A weight plus SCALE · B A, of which only A (rank, columns) and B (rows, rank) train.

    As in Hu et al. 2021 (LoRA) B starts at zero, so that the network begins as it was; A is drawn
    as their code draws it, Kaiming-uniform. A rank above that of the weight itself is cut to it.
    """

    def __init__(self, weight: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        """`weight` is (rows, columns), or (rows, columns, 1, 1) of a convolution."""
        super().__init__()
        rows, columns = weight.shape[:2]
        rank = min(rank, rows, columns)
        drawn = torch.empty(rank, columns)
        nn.init.kaiming_uniform_(drawn, a=5**0.5, generator=generator)
        self.a = nn.Parameter(drawn.to(weight))
        self.b = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The changed weight, of the same shape; the change is computed in full precision."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (SCALE * self.b @ self.a).view(weight.shape)


def adaptable(model: nn.Module, head: str) -> "dict[str, Matrix]":
    """The layers of the body whose weights are matrices: linear and ungrouped 1×1 convolutions.

    Args:
        head: name of the final linear layer, which is none of them.

    Raises:
        HeadstartError: there is none.
    """
    found = {name: m for name, m in model.named_modules() if _is_matrix(m) and name != head}
    if not found:
        raise HeadstartError(
            "phases.train is 'lora', but the network has no linear layer and no 1×1 convolution "
            "before its head; train biases_and_norms, last_k_stages or all"
        )
    return found


def _is_matrix(module: nn.Module) -> "TypeGuard[Matrix]":
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear)


def add(model: nn.Module, head: str, rank: int, seed: int) -> None:
    """Put a `LowRank` on every adaptable weight, in place.

    Args:
        seed: decides every A, on any device the same.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in adaptable(model, head).values():
        change = LowRank(module.weight, rank, generator)
        parametrize.register_parametrization(module, "weight", change)


def merge(model: nn.Module) -> None:
    """Make every `LowRank` part of the weight that it changes, in place; there may be none."""
    for module in _adapted(model).values():
        parametrize.remove_parametrizations(module, "weight")


def merged_state(model: nn.Module) -> "State":
    """The state dict, on the CPU, that the model would have once merged; it is left as it is."""
    adapted = _adapted(model)
    hidden = tuple(f"{name}.parametrizations." for name in adapted)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith(hidden)}
    state |= {f"{name}.weight": module.weight for name, module in adapted.items()}
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _adapted(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if parametrize.is_parametrized(module, "weight")
        and isinstance(module.parametrizations.weight[0], LowRank)
    }


def low_rank_names(model: nn.Module) -> list[str]:
    """Names of all parameters A and B."""
    parts = [(name, m) for name, m in model.named_modules() if isinstance(m, LowRank)]
    return [f"{name}.{own}" for name, module in parts for own, _ in module.named_parameters()]


def low_rank_size(model: nn.Module, head: str, rank: int) -> int:
    """How many numbers `add` would train in the body of a model that it has not changed yet."""
    shapes = [module.weight.shape[:2] for module in adaptable(model, head).values()]
    return sum(min(rank, *shape) * sum(shape) for shape in shapes)


def bias_and_norm_names(model: nn.Module) -> list[str]:
    """Names of all biases, and of scale and shift of all normalisation layers.

    Such layers are told by their class: timm has many kinds that no base class unites, and all
    have "Norm" in the name.
    """
    norms = {name for name, m in model.named_modules() if "norm" in type(m).__name__.lower()}
    named = [name.rpartition(".") for name, _ in model.named_parameters()]
    return [
        f"{path}{dot}{own}" for path, dot, own in named if own.endswith("bias") or path in norms
    ]
