"""Linear probes: a classical classifier fitted on the frozen backbone's features.

The protocol is that of Kornblith et al. 2019 ("Do better ImageNet models transfer better?"):
L2-regularised logistic regression by L-BFGS, with the strength of the regularisation chosen from
a logarithmic grid. Where validation images are too few to choose by, cross-validation on them and
the training images chooses (as they and CLIP_benchmark do), and a probe that is a strategy of its
own is then fitted on both. The linear SVM follows the same grid.
"""

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import softmax

from headstart.experiment import tuning
from headstart.experiment.config import Phase, Strategy
from headstart.models import calibration
from headstart.training import neighbours
from headstart.training.checkpoints import Progress
from headstart.training.journal import Journal
from headstart.views.batches import Examples

logger = logging.getLogger(__name__)

_STRONGEST, _WEAKEST = 1e-6, 1e5
_ITERATIONS = 1000
_FOLDS = 5
_PATIENCE = 2


def strengths(count: int) -> np.ndarray:
    """`count` values of the inverse regularisation C, from the strongest penalty to the weakest."""
    return 1 / np.logspace(np.log10(_WEAKEST), np.log10(_STRONGEST), count)


def has_turned(losses: list[float], patience: int = _PATIENCE) -> bool:
    """Whether the loss, which falls along the path and then rises, was worse so often in a row.

    The path goes from the strongest penalty to the weakest, where a fit takes many times as long.
    """
    return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= patience


@dataclass(frozen=True)
class Data:
    """What a probe is fitted and chosen on.

    Attributes:
        features: float32 (views, n, d).
        labels: int64 (n,), of those images.
        parts: of each fit, the positions in n to fit on and to score on, in the plain view.
    """

    features: np.ndarray
    labels: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray]]

    def rows(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features (views · m, d) of m positions in every view, and their labels."""
        views, _, width = self.features.shape
        chosen = self.features[:, positions].reshape(-1, width)
        return chosen, np.tile(self.labels[positions], views)


def fit(
    strategy: Strategy, features: np.ndarray, examples: Examples, seed: int, journal: Journal
) -> Progress:
    """Fit one classifier per strength and keep the one that validates best.

    Where the loss chooses, no more are tried once it has turned. A row of the history is one
    strength; its learning rate column holds C.

    Args:
        features: float32 (views, n, d), the plain view first.
        seed: of the SVM's coordinate descent.

    Returns:
        The progress with the best classifier as "head.weight" (K, d) and "head.bias" (K,); for
        k-nearest neighbours see `neighbours.fit`.
    """
    phase = strategy.phases[0]
    if phase.classifier == "knn":
        return neighbours.fit(strategy, features[0], examples, journal)
    progress = journal.open()
    data = _data(phase, features, examples)
    whole = trains_on_val(strategy, examples)
    final = np.arange(len(data.labels) if whole else len(examples.labels["train"]))
    classify = partial(_fitted, phase.classifier, seed)
    by_loss = strategy.training.select_by == "loss"
    for number, c in enumerate(_values(phase)[progress.epoch :], start=progress.epoch + 1):
        if by_loss and has_turned([row["val_loss"] for row in progress.history]):
            break
        started = time.perf_counter()
        row: dict[str, float] = {"epoch": number, "phase": 0, "lr": c}
        scores = _validated(data, partial(classify, c))
        row |= {name: float(values.mean()) for name, values in scores.items()}
        seconds = time.perf_counter() - started
        row |= {"images_per_second": len(final) / seconds, "seconds": seconds}
        progress.add(row, strategy.training.score, dict)
        if progress.best_epoch == number:
            progress.val_losses = scores["val_loss"].tolist()
    best = progress.history[progress.best_epoch - 1]["lr"]
    progress.best_model = _head(*classify(best, *data.rows(final)))
    journal.save(progress)
    return progress


def head(
    strategy: Strategy, features: np.ndarray, examples: Examples, seed: int
) -> dict[str, torch.Tensor]:
    """The weight (K, d) and bias (K,) of the probe that a strategy's other phases begin with."""
    phase = strategy.phases[0]
    data = _data(phase, features, examples)
    train = data.rows(np.arange(len(examples.labels["train"])))
    classify = partial(_fitted, phase.classifier, seed)
    values, losses = _values(phase), list[float]()
    for c in values:
        if has_turned(losses):
            break
        losses.append(_validated(data, partial(classify, c))["val_loss"].mean())
    best = values[int(np.argmin(losses))]
    logger.info("the head starts from a probe with C = %.3g", best)
    found = _head(*classify(best, *train))
    return {name.removeprefix("head."): value for name, value in found.items()}


def trains_on_val(strategy: Strategy, examples: Examples) -> bool:
    """Whether a probe that cross-validation chose is fitted on the validation images as well."""
    linear = strategy.is_probe and strategy.phases[0].classifier != "knn"
    return linear and _cross_validates(examples)


def _cross_validates(examples: Examples) -> bool:
    return len(examples.labels["val"]) < tuning.ENOUGH and _fewest(examples) > 1


def _fewest(examples: Examples) -> int:
    """Training and validation images of the rarest class."""
    return int(np.bincount(np.concatenate(list(examples.labels.values()))).min())


def _values(phase: Phase) -> list[float]:
    return [phase.strength] if phase.strength else [float(c) for c in strengths(phase.strengths)]


def _data(phase: Phase, features: np.ndarray, examples: Examples) -> Data:
    """Training images and then validation images, and on which of them a strength is judged."""
    rows = np.concatenate([examples.rows["train"], examples.rows["val"]])
    labels = np.concatenate([examples.labels["train"], examples.labels["val"]])
    n_train = len(examples.rows["train"])
    parts = [(np.arange(n_train), np.arange(n_train, len(rows)))]
    if _cross_validates(examples):
        from sklearn.model_selection import StratifiedKFold

        split = StratifiedKFold(min(_FOLDS, _fewest(examples)), shuffle=True, random_state=0)
        parts = list(split.split(rows, labels))
    chosen = features if phase.views == "all" else features[:1]
    return Data(np.asarray(chosen[:, rows]), labels, parts)


def _validated(
    data: Data, classify: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Loss and accuracy of each image that a fit did not see (val), and of those that it saw."""
    scores: dict[str, list[np.ndarray]] = {}
    for fitted, scored in data.parts:
        weight, bias = classify(*data.rows(fitted))
        for part, positions in (("train", fitted), ("val", scored)):
            logits = data.features[0, positions] @ weight.T + bias
            for name, values in _scores(logits, data.labels[positions]).items():
                scores.setdefault(f"{part}_{name}", []).append(values)
    return {name: np.concatenate(values) for name, values in scores.items()}


def _head(weight: np.ndarray, bias: np.ndarray) -> dict[str, torch.Tensor]:
    return {"head.weight": torch.from_numpy(weight), "head.bias": torch.from_numpy(bias)}


def _fitted(
    kind: str, seed: int, c: float, features: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _linear(_classifier(kind, c, seed).fit(features, labels))


def _classifier(kind: str, c: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if kind == "logistic_regression":
        return LogisticRegression(C=c, max_iter=_ITERATIONS)
    return LinearSVC(C=c, max_iter=_ITERATIONS, random_state=seed)


def _linear(classifier: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, d) and biases (K,), float32; scikit-learn has one row for two classes."""
    weight, bias = classifier.coef_, classifier.intercept_
    if len(weight) == 1:
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.astype(np.float32), bias.astype(np.float32)


def _scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    shares = softmax(logits.astype(np.float64), axis=1)
    return {
        "loss": calibration.losses(shares, labels),
        "accuracy": logits.argmax(axis=1) == labels,
    }
