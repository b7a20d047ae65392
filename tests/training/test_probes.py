"""Probes against scikit-learn used directly."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch.nn import functional as F

from headstart.models.neighbours import Neighbours
from headstart.training import neighbours, probes
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal
from headstart.views.batches import Examples


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


class Saved(Journal):
    """A journal that remembers what it saved."""

    def __init__(self, resume: ResumeFile) -> None:
        super().__init__(resume)
        self.saved: list[Progress] = []

    def _save(self, progress: Progress) -> None:
        super()._save(progress)
        self.saved.append(progress)


@pytest.fixture
def fit(make_strategy, tmp_path):
    """Fit a probe to blobs that lie in a file of features, the validation images first."""

    def fit(kind: str, strengths: int, classes: int):
        features, labels = blobs(classes)
        rows = {"train": 60 + np.arange(120), "val": np.arange(60)}
        together = np.concatenate([features["val"], features["train"]])
        phase = {"train": "probe", "epochs": 0, "classifier": kind, "strengths": strengths}
        journal = Saved(ResumeFile(tmp_path / "resume.pt", "key"))
        progress = probes.fit(make_strategy(phase), together, Examples(rows, labels), 0, journal)
        assert journal.saved == [progress]
        return features, labels, progress, progress.history

    return fit


def test_the_grid_is_kornblith_s() -> None:
    c = probes.strengths(45)
    assert len(c) == 45 and c[0] == pytest.approx(1e-5) and c[-1] == pytest.approx(1e6)
    assert np.allclose(np.diff(np.log10(c)), 11 / 44)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm"])
def test_the_kept_head_predicts_as_the_best_classifier_does(fit, kind: str, classes: int) -> None:
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


def test_two_class_logits_give_the_classifier_s_probabilities(fit) -> None:
    features, labels, progress, rows = fit("logistic_regression", 1, 2)
    reference = LogisticRegression(C=rows[0]["lr"], max_iter=1000)
    reference.fit(features["train"], labels["train"])
    head = progress.best_model
    logits = features["val"] @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(shares, reference.predict_proba(features["val"]), atol=1e-5)


def test_as_many_neighbours_vote_as_validation_prefers(fit) -> None:
    features, labels, progress, rows = fit("knn", 0, 3)
    assert [row["lr"] for row in rows] == [1, 3, 5, 10, 20, 50]
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert progress.best_epoch == best["epoch"]
    kept = {name.removeprefix("head."): value for name, value in progress.best_model.items()}
    assert kept["k"] == best["lr"] and len(kept["bank"]) == 120
    assert torch.equal(kept["labels"], torch.from_numpy(labels["train"]))
    head = Neighbours(kept, 3)
    logits = head(torch.from_numpy(features["val"]))
    assert best["val_accuracy"] == (logits.argmax(1).numpy() == labels["val"]).mean()
    wanted = torch.from_numpy(labels["val"])
    assert best["val_loss"] == pytest.approx(F.nll_loss(logits, wanted).item(), rel=1e-5)


def test_a_training_image_is_scored_by_the_others(fit, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", 50)
    features, labels, _, rows = fit("knn", 0, 3)
    unit = features["train"] / np.linalg.norm(features["train"], axis=1, keepdims=True)
    similarities = unit @ unit.T - 2 * np.eye(120)
    one = labels["train"][similarities.argmax(1)]
    assert rows[0]["train_accuracy"] == (one == labels["train"]).mean() < 1


def test_no_more_neighbours_are_asked_than_there_are_others(make_strategy, tmp_path) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    rows = {"train": np.arange(6), "val": np.arange(6, 9)}
    examples = Examples(rows, {part: places % 2 for part, places in rows.items()})
    strategy = make_strategy({"train": "probe", "epochs": 0, "classifier": "knn"})
    journal = Journal(ResumeFile(tmp_path / "resume.pt", "key"))
    history = probes.fit(strategy, features, examples, 0, journal).history
    assert [row["lr"] for row in history] == [1, 3, 5]
