"""Metrics as scores of single images, whose mean over the images is the metric itself.

For a mean of losses or of right answers the scores are those. For the others they are influence
values, M + n ∂M/∂w_i for the weight w_i of image i (Hampel 1974, "The influence curve and its role
in robust estimation"), so that one inference serves every metric. A larger score is the better one:
losses carry a minus.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headstart.experiment.config import LOSSES

_SMALLEST = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Answers:
    """What a model answered on n test images, in K classes.

    Attributes:
        labels: int (n,), true classes.
        predicted: int (n,), the classes answered.
        probabilities: float64 (n, K), rows sum to 1; (0, K) for a score that needs none.
    """

    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def classes(self) -> int:
        """K."""
        return self.probabilities.shape[1]

    @property
    def present(self) -> np.ndarray:
        """The classes that have an image, int, ascending."""
        return np.unique(self.labels)


Score = Callable[[Answers], np.ndarray]


def accuracy(answers: Answers) -> np.ndarray:
    """1.0 where the answer is the label, else 0.0, float (n,)."""
    return (answers.labels == answers.predicted).astype(float)


def balanced_accuracy(answers: Answers) -> np.ndarray:
    """Influence values of the mean recall over the classes that occur, float (n,)."""
    right, labels = accuracy(answers), answers.labels
    sizes = np.bincount(labels, minlength=answers.classes).astype(float)
    recall = np.divide(
        np.bincount(labels, right, len(sizes)), sizes, where=sizes > 0, out=0 * sizes
    )
    classes = (sizes > 0).sum()
    weight = len(labels) / (classes * sizes[labels])
    return recall.sum() / classes + weight * (right - recall[labels])


def macro_f1(answers: Answers) -> np.ndarray:
    """Influence values of the mean F1 over the classes that occur or are answered, float (n,)."""
    labels, predicted, right = answers.labels, answers.predicted, accuracy(answers)
    k = answers.classes
    both = (np.bincount(labels, minlength=k) + np.bincount(predicted, minlength=k)).astype(float)
    f1 = np.divide(2 * np.bincount(labels, right, k), both, where=both > 0, out=np.zeros(k))
    share = np.divide(f1, both, where=both > 0, out=np.zeros(k))
    classes = (both > 0).sum()
    own = 2 * right / both[labels] - share[labels] - share[predicted]
    return f1.sum() / classes + len(labels) * own / classes


def log_loss(answers: Answers) -> np.ndarray:
    """The logarithm of the label's probability, which is at least epsilon, float (n,)."""
    own = answers.probabilities[np.arange(len(answers.labels)), answers.labels]
    return np.log(np.clip(own, _SMALLEST, 1))


def brier(answers: Answers) -> np.ndarray:
    """Minus the squared distance to the label's one-hot row, float (n,); half of it for 2 classes.

    As scikit-learn has it: from 0 to 1 for two classes, from 0 to 2 for more (Brier 1950).
    """
    k = answers.classes
    squares = (answers.probabilities - np.eye(k)[answers.labels]) ** 2
    return -squares.sum(axis=1) / (2 if k == 2 else 1)


def roc_auc(answers: Answers) -> np.ndarray:
    """Influence values of the area under the ROC curve, float (n,).

    With more than two classes, the mean area of each class against the rest. Nan throughout where
    a class has no image: the area is then undefined.
    """
    k = answers.classes
    if k < 2 or len(answers.present) < k:
        return np.full(len(answers.labels), np.nan)
    scored = [1] if k == 2 else range(k)
    areas = [_area(answers.labels == c, answers.probabilities[:, c]) for c in scored]
    return np.mean(areas, axis=0)


SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "brier": brier,
    "roc_auc": roc_auc,
}
#: Those that need probabilities.
OF_PROBABILITIES = ("log_loss", "brier", "roc_auc")
#: How each is called in a sentence.
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
}


def quantum(metric: str, labels: np.ndarray) -> float:
    """Mean square of what an image answered otherwise moves its score by.

    1 for right or wrong. Where classes count alike, an image of class k moves the metric by
    1 / (K n_k), hence its score by n / (K n_k). 0 for losses, which are continuous.

    Args:
        labels: int (n,), classes of the test images.
    """
    if metric in LOSSES:
        return 0.0
    if metric == "accuracy":
        return 1.0
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    return float(sizes.sum() * (1 / sizes).sum() / len(sizes) ** 2)


def _area(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Influence values of the Mann-Whitney statistic (DeLong et al. 1988), float (n,)."""
    share = np.empty(len(scores))
    share[positive] = _below(scores[positive], scores[~positive])
    share[~positive] = 1 - _below(scores[~positive], scores[positive])
    area = share[positive].mean()
    sizes = np.where(positive, positive.sum(), (~positive).sum())
    return area + len(scores) / sizes * (share - area)


def _below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of the others that lie below each score, equals counting half."""
    ordered = np.sort(others)
    low = np.searchsorted(ordered, scores, side="left")
    high = np.searchsorted(ordered, scores, side="right")
    return (low + high) / (2 * len(others))
