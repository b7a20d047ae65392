"""Temperature scaling beside a search on the logits themselves."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from headstart.models import calibration


def overconfident(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times too large for the labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(4, p=share) for share in shares])
    return 3 * logits, labels


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).softmax(1).numpy()


def test_the_temperature_is_that_of_a_search_on_logits():
    logits, labels = overconfident(2000)
    found = calibration.temperature(softmax(logits), labels)
    assert found == pytest.approx(3, rel=0.1)
    given, wanted = torch.from_numpy(logits), torch.from_numpy(labels)
    losses = {
        t: F.cross_entropy(given / t, wanted).item() for t in np.linspace(0.9, 1.1, 81) * found
    }
    assert found == pytest.approx(min(losses, key=lambda t: losses[t]), rel=0.005)


def test_tempered_probabilities_are_those_of_divided_logits():
    logits, _ = overconfident(50)
    tempered = calibration.tempered(softmax(logits), 2.5)
    assert np.allclose(tempered, softmax(logits / 2.5), atol=1e-6)
    assert np.allclose(tempered.sum(1), 1)
    assert (tempered.argmax(1) == logits.argmax(1)).all()


def test_few_images_fit_no_temperature():
    logits, labels = overconfident(calibration.ENOUGH - 1)
    assert calibration.temperature(softmax(logits), labels) == 1
    assert calibration.temperature(np.empty((0, 4)), np.empty(0, int)) == 1


def test_a_temperature_of_one_changes_nothing():
    shares = softmax(overconfident(5)[0]).astype(np.float32)
    assert calibration.tempered(shares, 1.0) is shares


def test_a_sure_mistake_leaves_a_finite_temperature():
    shares = np.eye(2)[np.zeros(100, int)]
    labels = np.arange(100) % 2
    assert 1 < calibration.temperature(shares, labels) <= 20
    assert np.isfinite(calibration.tempered(shares, 20.0)).all()
