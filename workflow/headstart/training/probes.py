"""Linear probes: a classical classifier fitted on the frozen backbone's features.

The protocol is that of Kornblith et al. 2019 ("Do better ImageNet models transfer better?"):
L2-regularised logistic regression by L-BFGS on the plain view, with the strength of the
regularisation chosen on validation from a logarithmic grid. The linear SVM follows the same grid.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import LinearSVC

from headstart.experiment.config import Phase
from headstart.training.checkpoints import Progress

_STRONGEST, _WEAKEST = 1e-6, 1e5
_ITERATIONS = 1000


def strengths(count: int) -> np.ndarray:
    """`count` values of the inverse regularisation C, from the strongest penalty to the weakest."""
    return 1 / np.logspace(np.log10(_WEAKEST), np.log10(_STRONGEST), count)


def fit(
    phase: Phase,
    features: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    seed: int,
    select_by: str,
    begin: Callable[[Progress], None],
    on_save: Callable[[Progress], None],
) -> Progress:
    """Fit one classifier per strength and keep the best on validation.

    A row of the history is one strength; its learning rate column holds C.

    Args:
        features: "train" (n, d) and "val" (m, d), float32.
        labels: class indices in the same parts.
        seed: of the SVM's coordinate descent.
        select_by: the validation score that chooses, accuracy or loss.
        begin: called once before the first fit; may set `mlflow_run_id`.
        on_save: called at the end.

    Returns:
        The progress with the best classifier as "head.weight" (K, d) and "head.bias" (K,).
    """
    progress = Progress()
    begin(progress)
    for number, c in enumerate(strengths(phase.strengths), start=1):
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier = _classifier(phase.classifier, float(c), seed)
            classifier.fit(features["train"], labels["train"])
        weight, bias = _linear(classifier)
        seconds = time.perf_counter() - started
        row: dict[str, float] = {"epoch": number, "phase": 0, "lr": float(c)}
        for part in ("train", "val"):
            row |= _scores(part, features[part] @ weight.T + bias, labels[part])
        row |= {"images_per_second": len(labels["train"]) / seconds, "seconds": seconds}
        if progress.improves(row, select_by):
            progress.best_model = {
                "head.weight": torch.from_numpy(weight),
                "head.bias": torch.from_numpy(bias),
            }
        progress.epoch = number
        progress.history.append(row)
    on_save(progress)
    return progress


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
