"""Losses, and the class probabilities that belong to them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from headstart.compute import devices
from headstart.experiment.config import Training

if TYPE_CHECKING:
    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loss_function(settings: Training, labels: np.ndarray, device: devices.Device) -> "Loss":
    """The loss of logits (n, K) and class indices (n,) or soft targets (n, K), a batch mean.

    Args:
        labels: training class indices, shape (n,); they set the balanced class weights
            n / (K * count), as scikit-learn has them, by which each example's loss is multiplied.
    """
    counts = np.bincount(labels)
    weights = None
    if settings.class_weights == "balanced":
        balanced = len(labels) / (len(counts) * counts)
        weights = torch.tensor(balanced, dtype=torch.float32, device=device.type)
    smoothing = settings.label_smoothing
    if settings.loss == "cross_entropy":
        return lambda logits, targets: F.cross_entropy(
            logits, targets, weight=weights, label_smoothing=smoothing
        )

    def bce(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        wanted = F.one_hot(targets, logits.shape[1]).float() if targets.ndim == 1 else targets
        weight = None if weights is None else (wanted @ weights).unsqueeze(1)
        wanted = wanted * (1 - smoothing) + smoothing / logits.shape[1]
        return F.binary_cross_entropy_with_logits(logits, wanted, weight=weight)

    return bce


def probabilities(logits: torch.Tensor, loss: str) -> torch.Tensor:
    """Class probabilities (n, K) that belong to the loss: softmax, or sigmoids made to sum to 1."""
    if loss == "cross_entropy":
        return logits.softmax(1)
    scores = logits.sigmoid()
    return scores / scores.sum(1, keepdim=True)
