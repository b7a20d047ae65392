"""Probes against scikit-learn used directly."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from headstart.experiment.config import Phase
from headstart.training import probes


def blobs(classes: int, seed: int = 0) -> tuple[dict, dict]:
    """Overlapping Gaussian classes in eight dimensions, as features and labels by part."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, 8))
    labels = {"train": np.arange(120) % classes, "val": np.arange(60) % classes}
    features = {
        part: (centres[y] + rng.normal(size=(len(y), 8))).astype(np.float32)
        for part, y in labels.items()
    }
    return features, labels


def fit(kind: str, strengths: int, classes: int):
    features, labels = blobs(classes)
    saved: list = []
    phase = Phase("probe", classifier=kind, strengths=strengths)
    progress = probes.fit(
        phase, features, labels, 0, "accuracy", lambda progress: None, saved.append
    )
    assert saved == [progress]
    return features, labels, progress, progress.history


def test_the_grid_is_kornblith_s() -> None:
    c = probes.strengths(45)
    assert len(c) == 45 and c[0] == pytest.approx(1e-5) and c[-1] == pytest.approx(1e6)
    assert np.allclose(np.diff(np.log10(c)), 11 / 44)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm"])
def test_the_kept_head_predicts_as_the_best_classifier_does(kind: str, classes: int) -> None:
    features, labels, progress, rows = fit(kind, 7, classes)
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert progress.best_epoch == best["epoch"] and len(rows) == 7
    reference = (
        LogisticRegression(C=best["lr"], max_iter=1000)
        if kind == "logistic_regression"
        else LinearSVC(C=best["lr"], max_iter=1000, random_state=0)
    ).fit(features["train"], labels["train"])
    head = progress.best_model
    logits = features["val"] @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    assert logits.shape == (60, classes)
    assert (logits.argmax(1) == reference.predict(features["val"])).all()
    assert best["val_accuracy"] == reference.score(features["val"], labels["val"])


def test_two_class_logits_give_the_classifier_s_probabilities() -> None:
    features, labels, progress, rows = fit("logistic_regression", 1, 2)
    reference = LogisticRegression(C=rows[0]["lr"], max_iter=1000)
    reference.fit(features["train"], labels["train"])
    head = progress.best_model
    logits = features["val"] @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(shares, reference.predict_proba(features["val"]), atol=1e-5)
