"""From a run's test predictions to its metrics, each with a 95 % interval.

Proportions of images get Wilson intervals; the other metrics get intervals from their scores of
single images, as the verdict's have (`headstart.verdict.metrics`). The expected calibration error
has none: it is biased upwards on few images, so that it describes and proves nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from headstart import HeadstartError
from headstart.verdict import inference, metrics
from headstart.verdict.scores import Scores, Study
from headstart.verdict.statistics import wilson

ECE_BINS = 15
_PREFIX = "p:"


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
    predictions: pd.DataFrame, classes: Sequence[str], train_labels: Sequence[str] | None = None
) -> dict:
    """The metrics of one run, ready for metrics.json.

    Rows of probabilities are scaled to sum to 1, which matters to models trained with one
    sigmoid per class. What is undefined is left out: the ROC-AUC when a class has no test image,
    the recall of a class without test images, the precision of one that is never predicted.
    Balanced accuracy averages over the classes that occur, macro-F1 over those that occur or are
    answered, as in scikit-learn.

    Args:
        predictions: n rows in the format of `predictions_frame`.
        classes: K class names, sorted.
        train_labels: if given, the majority floor answers their most common class, and not the
            most common class of the test set.

    Raises:
        HeadstartError: no rows, a label or column that does not fit `classes`, or values that
            are not probabilities.
    """
    given = answers(predictions, classes)
    n, k = given.probabilities.shape
    confusion = sk.confusion_matrix(given.labels, given.predicted, labels=range(k))
    scored = {name: _metric(name, given) for name in metrics.SCORES}
    found = {name: metric for name, metric in scored.items() if metric}
    right, confidence = metrics.accuracy(given), given.probabilities.max(axis=1)
    found["ece"] = {"value": expected_calibration_error(right, confidence)}
    for top in (3, 5):
        if k > top:
            found[f"top_{top}"] = _proportion((_ranks(given) < top).sum(), n)
    majority = _majority_class(predictions["label"], train_labels)
    return {
        "n_test": n,
        "metrics": found,
        "majority_class": majority,
        "majority_floor": float((predictions["label"] == majority).mean()),
        "per_class": {name: _per_class(confusion, i) for i, name in enumerate(classes)},
        "confusion": confusion.tolist(),
        "classes": list(classes),
    }


def answers(predictions: pd.DataFrame, classes: Sequence[str]) -> metrics.Answers:
    """Predictions in the format of `predictions_frame` as numbers, rows scaled to sum to 1.

    Raises:
        HeadstartError: as `evaluate`.
    """
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
    return metrics.Answers(codes["label"], codes["predicted"], probabilities / totals)


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


def _metric(name: str, answers: metrics.Answers) -> dict[str, float] | None:
    """Value and interval of one run's metric; None where it is not defined."""
    scores = metrics.SCORES[name](answers)
    if np.isnan(scores).any():
        return None
    quantum = metrics.quantum(name, answers.labels)
    run = Scores(((0, 0),), scores[None])
    study = Study(("",) * len(scores), {("", 1.0): run}, metric=name, quantum=quantum)
    mean = inference.mean(study, ("", 1.0))
    return {"value": mean.value, "low": mean.low, "high": mean.high}


def _ranks(answers: metrics.Answers) -> np.ndarray:
    """How many classes come before the label, int (n,); among equals the first class does."""
    order = np.argsort(-answers.probabilities, axis=1, kind="stable")
    return (order == answers.labels[:, None]).argmax(axis=1)


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)


def _proportion(hits: float, total: int) -> dict[str, float]:
    low, high = wilson(int(hits), int(total))
    return {"value": float(hits / total), "low": low, "high": high}


def _per_class(confusion: np.ndarray, index: int) -> dict:
    hits = confusion[index, index]
    support, answers = confusion[index].sum(), confusion[:, index].sum()
    entry: dict = {"support": int(support)}
    if answers:
        entry["precision"] = _proportion(hits, answers)
    if support:
        entry["recall"] = _proportion(hits, support)
    return entry


def _majority_class(labels: pd.Series, train_labels: Sequence[str] | None) -> str:
    """The most common class, the first by name among equals."""
    reference = labels if train_labels is None else pd.Series(list(train_labels), dtype=object)
    return str(reference.mode().iloc[0])
