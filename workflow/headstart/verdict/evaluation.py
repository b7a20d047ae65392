"""From a run's test predictions to its metrics, each with a 95 % interval.

Point values come from scikit-learn. Proportions of images get Wilson intervals; the other
metrics get percentile bootstrap intervals over test images (Efron & Tibshirani 1993).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from headstart import HeadstartError
from headstart.verdict.statistics import percentile_interval, wilson

ECE_BINS = 15
_PREFIX = "p:"
_AUC_BUDGET = 200_000_000


def predictions_frame(
    ids: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Predictions in the format of predictions.parquet.

    Args:
        ids: n image ids.
        labels: int (n,), true class indices.
        probabilities: float (n, K), columns in the order of `classes`.
        classes: K class names.

    Returns:
        Columns id, label, predicted, then one float32 `p:<class>` per class.

    Raises:
        HeadstartError: a probability is not finite.
    """
    _check_probabilities(probabilities)
    names = np.array(classes, dtype=object)
    columns = {f"{_PREFIX}{name}": probabilities[:, k] for k, name in enumerate(classes)}
    frame = pd.DataFrame(columns).astype(np.float32)
    frame.insert(0, "id", list(ids))
    frame.insert(1, "label", names[np.asarray(labels)])
    frame.insert(2, "predicted", names[probabilities.argmax(axis=1)])
    return frame


def evaluate(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    train_labels: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """The metrics of one run, ready for metrics.json.

    Rows of probabilities are scaled to sum to 1, which matters to models trained with one
    sigmoid per class. What is undefined is left out: the ROC-AUC when a class has no test image,
    the recall of a class without test images, the precision of one that is never predicted.
    Balanced accuracy and macro-F1 average over the classes that occur, as in scikit-learn.
    A bootstrap interval always contains its value; the expected calibration error needs that,
    because resampling biases it upwards.

    Args:
        predictions: n rows in the format of `predictions_frame`.
        classes: K class names, sorted.
        train_labels: if given, the majority floor answers their most common class, and not the
            most common class of the test set.
        resamples: bootstrap draws. Where n × K exceeds 200,000 the ROC-AUC uses fewer, so that
            n × K × draws stays within 2e8, but never fewer than 100.
        seed: of the draws.

    Raises:
        HeadstartError: no rows, a label or column that does not fit `classes`, or values that
            are not probabilities.
    """
    y, predicted, probabilities = _arrays(predictions, classes)
    n, k = probabilities.shape
    confusion = sk.confusion_matrix(y, predicted, labels=range(k))
    metrics = {"accuracy": _proportion(np.trace(confusion), n)}
    points = _points(y, predicted, probabilities)
    draws = _draws(_statistics(y, predicted, probabilities), list(points), n, k, resamples, seed)
    for name, value in points.items():
        metrics[name] = _interval(value, draws[name])
    for top in (3, 5):
        if k > top:
            hits = sk.top_k_accuracy_score(
                y, probabilities, k=top, labels=range(k), normalize=False
            )
            metrics[f"top_{top}"] = _proportion(hits, n)
    return {
        "n_test": n,
        "metrics": metrics,
        "majority_floor": _majority_floor(predictions["label"], train_labels),
        "per_class": {name: _per_class(confusion, i) for i, name in enumerate(classes)},
        "confusion": confusion.tolist(),
        "classes": list(classes),
    }


def expected_calibration_error(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Gap between confidence and accuracy, averaged over 15 equal-width bins (Guo et al. 2017).

    Args:
        correct: bool (n,), whether the answer was right.
        confidence: float (n,), probability of the answer, in [0, 1].
    """
    gaps = correct - confidence
    return float(np.abs(np.bincount(_bins(confidence), gaps)).sum() / len(gaps))


def _check_probabilities(probabilities: np.ndarray) -> None:
    broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if broken:
        raise HeadstartError(
            f"{broken} of {len(probabilities)} test images have probabilities that are not "
            "finite: training diverged; lower the learning rate (lr)"
        )
    if (probabilities < 0).any() or (probabilities.sum(axis=1) <= 0).any():
        raise HeadstartError(
            "predictions: some rows are negative or all zero, so they are not probabilities; "
            "pass the model's softmax or sigmoid, not its logits"
        )


def _arrays(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted class indices, int (n,), and probabilities, float64 (n, K)."""
    columns = [column for column in predictions.columns if column.startswith(_PREFIX)]
    if columns != [f"{_PREFIX}{name}" for name in classes]:
        raise HeadstartError(
            f"predictions: the columns {', '.join(columns) or '(none)'} do not match the classes "
            f"{', '.join(classes)}; rerun evaluate with the classes of this split"
        )
    if predictions.empty:
        raise HeadstartError("predictions: no test images; enlarge dataset.split.test")
    codes = {}
    for column in ("label", "predicted"):
        codes[column] = pd.Index(classes).get_indexer(pd.Index(predictions[column]))
        unknown = predictions[column][codes[column] < 0]
        if len(unknown):
            raise HeadstartError(
                f"predictions: {column} {unknown.iloc[0]!r} is none of the classes "
                f"{', '.join(classes)}; rerun evaluate with the classes of this split"
            )
    probabilities = predictions[columns].to_numpy(dtype=np.float64)
    _check_probabilities(probabilities)
    totals = probabilities.sum(axis=1, keepdims=True)
    return codes["label"], codes["predicted"], probabilities / totals


def _points(y: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The metrics that get bootstrap intervals, on the test set as it is."""
    k = probabilities.shape[1]
    present = np.unique(y)
    points = {
        "balanced_accuracy": sk.recall_score(y, predicted, labels=present, average="macro"),
        "macro_f1": sk.f1_score(y, predicted, average="macro", zero_division=0),
        "log_loss": sk.log_loss(y, probabilities, labels=range(k)) if k > 1 else 0.0,
        "ece": expected_calibration_error(y == predicted, probabilities.max(axis=1)),
    }
    if len(present) == k == 2:
        points["roc_auc"] = sk.roc_auc_score(y, probabilities[:, 1])
    elif len(present) == k > 2:
        points["roc_auc"] = sk.roc_auc_score(y, probabilities, multi_class="ovr")
    return points


Statistic = Callable[[np.ndarray], float]


def _statistics(
    y: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
) -> dict[str, Statistic]:
    """The same metrics as functions of how often each image was drawn, fast for the bootstrap.

    Each takes float counts (n,) and may return nan where the draw leaves it undefined.
    """
    n, k = probabilities.shape
    cells = y * k + predicted
    losses = -np.log(np.clip(probabilities[np.arange(n), y], np.finfo(float).eps, 1))
    confidence = probabilities.max(axis=1)
    bins, gaps = _bins(confidence), (y == predicted) - confidence
    scored = [1] if k == 2 else range(k)
    areas = [_area(y == c, probabilities[:, c]) for c in scored]

    def totals(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        confusion = np.bincount(cells, counts, minlength=k * k).reshape(k, k)
        return confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)

    def balanced_accuracy(counts: np.ndarray) -> float:
        hits, support, _ = totals(counts)
        return float(np.mean(hits[support > 0] / support[support > 0]))

    def macro_f1(counts: np.ndarray) -> float:
        hits, support, answers = totals(counts)
        both = support + answers
        return float(np.mean(2 * hits[both > 0] / both[both > 0]))

    return {
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "log_loss": lambda counts: float(counts @ losses / counts.sum()),
        "ece": lambda counts: float(np.abs(np.bincount(bins, counts * gaps)).sum() / counts.sum()),
        "roc_auc": lambda counts: float(np.mean([area(counts) for area in areas])),
    }


def _draws(
    statistics: dict[str, Statistic], names: list[str], n: int, k: int, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Each named statistic on resampled test sets, the same draws for all."""
    limits = dict.fromkeys(names, resamples)
    if "roc_auc" in limits:
        limits["roc_auc"] = min(resamples, max(100, _AUC_BUDGET // (n * k)))
    draws: dict[str, list[float]] = {name: [] for name in names}
    rng = np.random.default_rng(seed)
    for draw in range(resamples):
        counts = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        for name in names:
            if draw < limits[name]:
                draws[name].append(statistics[name](counts))
    return {name: np.array(values) for name, values in draws.items()}


def _area(positive: np.ndarray, scores: np.ndarray) -> Statistic:
    """The area under the ROC curve as a function of counts: the Mann-Whitney statistic.

    The scores are ranked once, so that a draw costs no sorting.
    """
    distinct, ranks = np.unique(scores, return_inverse=True)

    def area(counts: np.ndarray) -> float:
        wins = np.bincount(ranks[positive], counts[positive], minlength=len(distinct))
        losses = np.bincount(ranks[~positive], counts[~positive], minlength=len(distinct))
        pairs = wins.sum() * losses.sum()
        return float(wins @ (np.cumsum(losses) - losses / 2) / pairs) if pairs else float("nan")

    return area


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)


def _proportion(hits: float, total: int) -> dict[str, float]:
    low, high = wilson(int(hits), int(total))
    return {"value": float(hits / total), "low": low, "high": high}


def _interval(value: float, draws: np.ndarray) -> dict[str, float]:
    value, defined = float(value), draws[np.isfinite(draws)]
    low, high = percentile_interval(defined) if len(defined) else (value, value)
    return {"value": value, "low": min(low, value), "high": max(high, value)}


def _per_class(confusion: np.ndarray, index: int) -> dict:
    hits = confusion[index, index]
    support, answers = confusion[index].sum(), confusion[:, index].sum()
    entry: dict = {"support": int(support)}
    if answers:
        entry["precision"] = _proportion(hits, answers)
    if support:
        entry["recall"] = _proportion(hits, support)
    return entry


def _majority_floor(labels: pd.Series, train_labels: Sequence[str] | None) -> float:
    """Accuracy of always answering the most common class, the first by name among equals."""
    reference = labels if train_labels is None else pd.Series(list(train_labels), dtype=object)
    return float((labels == reference.mode().iloc[0]).mean())
