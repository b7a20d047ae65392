"""Losses by hand and by scikit-learn, and the probabilities that belong to them."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from headstart.training import losses


def test_class_weights_are_scikit_learns(cpu, make_strategy):
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    settings = make_strategy({}, class_weights="balanced").training
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    logits, targets = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    made = losses.loss_function(settings, labels, cpu)(logits, targets)
    wanted = F.cross_entropy(logits, targets, weight=torch.tensor(weights, dtype=torch.float32))
    assert made.item() == pytest.approx(wanted.item())


def test_label_smoothing_by_hand(cpu, make_strategy):
    loss = losses.loss_function(
        make_strategy({}, label_smoothing=0.2).training, np.array([0, 1]), cpu
    )
    logits = torch.tensor([[2.0, 0.0]])
    log_p = -np.log1p(np.exp(-2.0)), -np.log1p(np.exp(2.0))
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(
        -0.9 * log_p[0] - 0.1 * log_p[1], rel=1e-5
    )


def bce(logit: float, wanted: float) -> float:
    p = 1 / (1 + np.exp(-logit))
    return -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p))


def test_bce_by_hand(cpu, make_strategy):
    settings = make_strategy({}, loss="bce_with_logits", label_smoothing=0.2).training
    loss = losses.loss_function(settings, np.array([0, 1, 1, 1]), cpu)
    logits, targets = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([0, 1])
    terms = bce(1, 0.9), bce(-2, 0.1), bce(0.5, 0.1), bce(3, 0.9)
    assert loss(logits, targets).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_balanced_bce_gives_every_class_the_same_say(cpu, make_strategy):
    """Weighing output columns instead of examples would leave two classes as unequal as before."""
    settings = make_strategy({}, loss="bce_with_logits", class_weights="balanced").training
    labels = np.array([0, 1, 1, 1])
    loss = losses.loss_function(settings, labels, cpu)
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.5, 3.0], [0.5, 3.0]])
    rare = 2.0 * (bce(1, 1) + bce(-2, 0))
    common = 2 / 3 * 3 * (bce(0.5, 0) + bce(3, 1))
    made = loss(logits, torch.from_numpy(labels)).item()
    assert made == pytest.approx((rare + common) / 8, rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_soft_targets_that_are_certain_are_hard_ones(cpu, make_strategy, loss):
    settings = make_strategy({}, loss=loss, label_smoothing=0.1, class_weights="balanced").training
    made = losses.loss_function(settings, np.repeat([0, 1, 2], [5, 3, 2]), cpu)
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    soft = F.one_hot(targets, 3).float()
    assert made(logits, soft).isfinite()
    if loss == "bce_with_logits":
        assert made(logits, soft).item() == pytest.approx(made(logits, targets).item())


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_probabilities_belong_to_the_loss(loss):
    logits = torch.randn(5, 4) * 5
    made = losses.probabilities(logits, loss)
    assert torch.allclose(made.sum(1), torch.ones(5))
    assert torch.equal(made.argsort(1), logits.argsort(1))
    if loss == "bce_with_logits":
        ratio = torch.sigmoid(logits[0, 0]) / torch.sigmoid(logits[0, 1])
        assert torch.allclose(made[0, 0] / made[0, 1], ratio)
