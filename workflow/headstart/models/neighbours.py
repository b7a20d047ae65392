"""A classifier that remembers its training images: the nearest of them vote."""

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    State = dict[str, torch.Tensor]

_TEMPERATURE = 0.07


class Neighbours(nn.Module):
    """Weighted k-nearest neighbours on features of unit length, in place of a linear head.

    After Wu et al. 2018: the k training images of the highest cosine similarity s vote for their
    class with a weight of exp(s / 0.07). A further neighbour whose vote is spread evenly over all
    classes, of the mean weight, leaves no class at exactly zero.

    Attributes:
        bank: training features of unit length, float32 (n, d).
        labels: their class indices, int64 (n,).
        k: how many vote, int64 ().
    """

    bank: torch.Tensor
    labels: torch.Tensor
    k: torch.Tensor

    def __init__(self, state: "State", n_classes: int) -> None:
        """`state` has the three buffers under their names."""
        super().__init__()
        # a plain number, since an exported graph cannot depend on what a tensor holds
        self._voters, self._n_classes = int(state["k"]), n_classes
        for name in ("bank", "labels", "k"):
            self.register_buffer(name, state[name])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (n, K), which serve as logits, of features (n, d)."""
        similarities, nearest = (unit(features) @ self.bank.T).topk(self._voters)
        return vote(similarities, self.labels[nearest], self._n_classes)


def unit(features: torch.Tensor) -> torch.Tensor:
    """Features (n, d) at length 1."""
    return F.normalize(features.float())


def vote(similarities: torch.Tensor, labels: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Log-probabilities (m, n_classes) from the similarities and labels (m, k) of neighbours."""
    n, k = similarities.shape  # not len(), which would fix n in an exported graph
    weights = (similarities / _TEMPERATURE).softmax(1) * k / (k + 1)
    spread = weights.new_full((n, n_classes), 1 / n_classes / (k + 1))
    return spread.scatter_add(1, labels, weights).log()


def take_place(model: nn.Module, head: str, state: "State", n_classes: int) -> None:
    """Put a `Neighbours` where the model's head is, if that is what a state dict holds there.

    Args:
        head: name of the final layer.
        state: of the whole model.
    """
    prefix = f"{head}."
    if f"{prefix}bank" in state:
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        model.set_submodule(head, Neighbours(own, n_classes))
