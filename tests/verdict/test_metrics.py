"""Scores of single images: they average to scikit-learn's metrics and have their derivatives."""

import numpy as np
import pytest
from sklearn import metrics as sk

from headstart.verdict import metrics


def sample(k, n=200, seed=0):
    """Noisy answers in unequal classes; ties among probabilities on purpose."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(k, n, p=np.arange(1, k + 1) / np.arange(1, k + 1).sum())
    labels[:k] = range(k)
    raw = rng.random((n, k)) + 0.6 * np.eye(k)[labels]
    p = np.round(raw / raw.sum(axis=1, keepdims=True), 2) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    return metrics.Answers(labels, p.argmax(axis=1), p)


def reference(name, a, weight=None):
    """scikit-learn's metric under weights of the images."""
    y, answered, p = a.labels, a.predicted, a.probabilities
    two = p.shape[1] == 2
    w = {"sample_weight": weight}
    return {
        "accuracy": lambda: sk.accuracy_score(y, answered, **w),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(y, answered, **w),
        "macro_f1": lambda: sk.f1_score(y, answered, average="macro", **w),
        "log_loss": lambda: -sk.log_loss(y, p, **w),
        "brier": lambda: -sk.brier_score_loss(y, p[:, 1] if two else p, **w),
        "roc_auc": lambda: (
            sk.roc_auc_score(y, p[:, 1], **w)
            if two
            else np.mean([sk.roc_auc_score(y == c, p[:, c], **w) for c in range(p.shape[1])])
        ),
    }[name]()


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("name", metrics.SCORES)
def test_the_mean_is_scikit_learn_s_value(name, k):
    given = sample(k)
    assert metrics.SCORES[name](given).mean() == pytest.approx(reference(name, given), abs=1e-12)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "roc_auc"])
def test_a_score_is_the_derivative_by_the_image_s_weight(name, k):
    given, step = sample(k, n=60), 1e-5
    scores, value = metrics.SCORES[name](given), reference(name, given)
    for i in (0, 7, 31, 59):
        more, less = np.ones(60), np.ones(60)
        more[i], less[i] = 1 + step, 1 - step
        slope = (reference(name, given, more) - reference(name, given, less)) / (2 * step)
        assert scores[i] == pytest.approx(value + 60 * slope, abs=1e-4)


def test_a_class_without_an_image():
    given = sample(3)
    labels = np.where(given.labels == 2, 1, given.labels)
    lacking = metrics.Answers(labels, given.predicted, given.probabilities)
    present = sk.recall_score(labels, given.predicted, labels=[0, 1], average="macro")
    assert metrics.balanced_accuracy(lacking).mean() == pytest.approx(present)
    f1 = sk.f1_score(labels, given.predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(lacking).mean() == pytest.approx(f1)
    assert np.isnan(metrics.roc_auc(lacking)).all()


def test_what_one_image_moves_by_hand():
    """Nine images of one class and one of the other: 10 / (2 · 9) and 10 / (2 · 1)."""
    labels = np.array([0] * 9 + [1])
    expected = (9 * (10 / 18) ** 2 + (10 / 2) ** 2) / 10
    assert metrics.quantum("balanced_accuracy", labels) == pytest.approx(expected)
    assert metrics.quantum("accuracy", labels) == 1 and metrics.quantum("brier", labels) == 0
