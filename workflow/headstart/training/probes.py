"""Linear probes: a classical classifier fitted on the frozen backbone's features.

The protocol is that of Kornblith et al. 2019 ("Do better ImageNet models transfer better?"):
L2-regularised logistic regression by L-BFGS on the plain view, with the strength of the
regularisation chosen on validation from a logarithmic grid. The linear SVM follows the same grid.
"""

import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import LinearSVC

from headstart.experiment.config import Strategy
from headstart.training import neighbours
from headstart.training.checkpoints import Progress
from headstart.training.journal import Journal
from headstart.views.batches import Examples

_STRONGEST, _WEAKEST = 1e-6, 1e5
_ITERATIONS = 1000


def strengths(count: int) -> np.ndarray:
    """`count` values of the inverse regularisation C, from the strongest penalty to the weakest."""
    return 1 / np.logspace(np.log10(_WEAKEST), np.log10(_STRONGEST), count)


def fit(
    strategy: Strategy, features: np.ndarray, examples: Examples, seed: int, journal: Journal
) -> Progress:
    """Fit one classifier per strength and keep the best on validation.

    A row of the history is one strength; its learning rate column holds C.

    Args:
        features: float32 (n, d), of the plain view.
        seed: of the SVM's coordinate descent.

    Returns:
        The progress with the best classifier as "head.weight" (K, d) and "head.bias" (K,); for
        k-nearest neighbours see `neighbours.fit`.
    """
    if strategy.phases[0].classifier == "knn":
        return neighbours.fit(strategy, features, examples, journal)
    phase, labels = strategy.phases[0], examples.labels
    parts = {part: features[rows] for part, rows in examples.rows.items()}
    progress = journal.open()
    values = strengths(phase.strengths)
    for number in range(progress.epoch + 1, len(values) + 1):
        c = float(values[number - 1])
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier = _classifier(phase.classifier, c, seed)
            classifier.fit(parts["train"], labels["train"])
        weight, bias = _linear(classifier)
        seconds = time.perf_counter() - started
        row: dict[str, float] = {"epoch": number, "phase": 0, "lr": c}
        for part in ("train", "val"):
            row |= _scores(part, parts[part] @ weight.T + bias, labels[part])
        row |= {"images_per_second": len(labels["train"]) / seconds, "seconds": seconds}
        progress.add(row, strategy.training.select_by, partial(_head, weight, bias))
    journal.save(progress)
    return progress


def _head(weight: np.ndarray, bias: np.ndarray) -> dict[str, torch.Tensor]:
    return {"head.weight": torch.from_numpy(weight), "head.bias": torch.from_numpy(bias)}


def _classifier(kind: str, c: float, seed: int) -> Any:
    if kind == "logistic_regression":
        return LogisticRegression(C=c, max_iter=_ITERATIONS)
    return LinearSVC(C=c, max_iter=_ITERATIONS, random_state=seed)


def _linear(classifier: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, d) and biases (K,), float32; scikit-learn has one row for two classes."""
    weight, bias = classifier.coef_, classifier.intercept_
    if len(weight) == 1:
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.astype(np.float32), bias.astype(np.float32)


def _scores(part: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    return {
        f"{part}_loss": float(log_loss(labels, probabilities, labels=np.arange(logits.shape[1]))),
        f"{part}_accuracy": float((logits.argmax(axis=1) == labels).mean()),
    }
