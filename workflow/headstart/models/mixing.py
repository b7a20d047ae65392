"""Weights between two models of one architecture (Wortsman et al. 2022, WiSE-FT)."""

from typing import TYPE_CHECKING

from headstart import HeadstartError

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]


def mixed(start: "State", end: "State", share: float) -> "State":
    """The state dict (1 - share) · start + share · end; whole numbers, such as counters, are end's.

    Raises:
        HeadstartError: the two are not of one architecture.
    """
    if {k: v.shape for k, v in start.items()} != {k: v.shape for k, v in end.items()}:
        raise HeadstartError(
            "the two models that wise_ft mixes differ in their layers; `start` must be a strategy "
            "with a linear head on the same backbone"
        )
    return {
        name: start[name].lerp(value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }
