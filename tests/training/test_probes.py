"""Probes against scikit-learn used directly."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from torch.nn import functional as F

from headstart.experiment import tuning
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
def fit(make_strategy, tmp_path, monkeypatch):
    """Fit a probe to blobs that lie in a file of features, the validation images first.

    They are taken for enough to choose by.
    """
    monkeypatch.setattr(tuning, "ENOUGH", 60)

    def fit(kind: str, strengths: int, classes: int):
        features, labels = blobs(classes)
        rows = {"train": 60 + np.arange(120), "val": np.arange(60)}
        together = np.concatenate([features["val"], features["train"]])[None]
        phase = {"train": "probe", "epochs": 0, "classifier": kind, "strengths": strengths}
        journal = Saved(ResumeFile(tmp_path / "resume.pt", "key"))
        progress = probes.fit(make_strategy(phase), together, Examples(rows, labels), 0, journal)
        assert journal.saved == [progress]
        assert not probes.trains_on_val(make_strategy(phase), Examples(rows, labels))
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
    history = probes.fit(strategy, features[None], examples, 0, journal).history
    assert [row["lr"] for row in history] == [1, 3, 5]


def examples_of(labels: dict) -> tuple[Examples, np.ndarray]:
    """Training images first, as they lie in features, and the labels of all."""
    rows = {"train": np.arange(120), "val": 120 + np.arange(60)}
    return Examples(rows, labels), np.concatenate([labels["train"], labels["val"]])


@pytest.fixture
def viewed():
    """Blobs in three views, the plain one first: float32 (3, 180, 8), and their examples."""
    features, labels = blobs(3, seed=4)
    plain = np.concatenate([features["train"], features["val"]])
    noise = np.random.default_rng(1).normal(scale=0.3, size=(2, *plain.shape))
    return np.stack([plain, *(plain + noise)]).astype(np.float32), *examples_of(labels)


@pytest.mark.parametrize("views", ["plain", "all"])
def test_few_validation_images_leave_the_choice_to_cross_validation(
    viewed, make_strategy, tmp_path, views
) -> None:
    """Beside scikit-learn's own folds; the chosen strength is then fitted on all images."""
    features, examples, labels = viewed
    phase = {"train": "probe", "epochs": 0, "classifier": "logistic_regression", "strengths": 5}
    strategy = make_strategy(phase | {"views": views}, select_by="loss")
    assert probes.trains_on_val(strategy, examples)
    journal = Journal(ResumeFile(tmp_path / "resume.pt", "key"))
    progress = probes.fit(strategy, features, examples, 0, journal)

    shown = features if views == "all" else features[:1]

    def fitted(c: float, rows: np.ndarray) -> LogisticRegression:
        given = shown[:, rows].reshape(-1, 8)
        return LogisticRegression(C=c, max_iter=1000).fit(given, np.tile(labels[rows], len(shown)))

    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels))
    for row in progress.history[:3]:  # weaker ones leave L-BFGS on a plain
        shares = np.empty((180, 3))
        for fit_on, scored in folds:
            shares[scored] = fitted(row["lr"], fit_on).predict_proba(features[0, scored])
        assert row["val_loss"] == pytest.approx(log_loss(labels, shares), rel=1e-3)
        assert row["val_accuracy"] == pytest.approx((shares.argmax(1) == labels).mean())
    best = min(progress.history, key=lambda row: row["val_loss"])
    whole = fitted(best["lr"], np.arange(180))
    assert np.allclose(progress.best_model["head.weight"], whole.coef_, atol=1e-4)


def test_the_head_of_later_phases_never_saw_a_validation_image(viewed, make_strategy) -> None:
    features, examples, labels = viewed
    probe = {"train": "probe", "epochs": 0, "classifier": "logistic_regression", "strength": 0.5}
    strategy = make_strategy(probe, {"epochs": 1})
    assert not probes.trains_on_val(strategy, examples)
    head = probes.head(strategy, features, examples, 0)
    alone = LogisticRegression(C=0.5, max_iter=1000).fit(features[0, :120], labels[:120])
    assert np.allclose(head["weight"], alone.coef_, atol=1e-4)
    assert np.allclose(head["bias"], alone.intercept_, atol=1e-4)


def test_a_class_with_one_image_cannot_be_cross_validated(viewed, make_strategy, tmp_path) -> None:
    features, _, _ = viewed
    train = np.zeros(120, int)
    train[0] = 1
    examples, _ = examples_of({"train": train, "val": np.zeros(60, int)})
    phase = {"train": "probe", "epochs": 0, "classifier": "logistic_regression", "strengths": 3}
    strategy = make_strategy(phase)
    assert not probes.trains_on_val(strategy, examples)
    journal = Journal(ResumeFile(tmp_path / "resume.pt", "key"))
    assert len(probes.fit(strategy, features, examples, 0, journal).history) == 3


def test_weak_penalties_are_left_out_once_the_loss_has_turned(
    viewed, make_strategy, tmp_path, monkeypatch
) -> None:
    """What is kept is the best of the whole path, which scikit-learn alone goes here."""
    monkeypatch.setattr(tuning, "ENOUGH", 60)
    features, examples, labels = viewed
    probe = {"train": "probe", "epochs": 0, "classifier": "logistic_regression", "strengths": 12}
    losses = []
    for c in probes.strengths(12):
        fitted = LogisticRegression(C=c, max_iter=1000).fit(features[0, :120], labels[:120])
        losses.append(log_loss(labels[120:], fitted.predict_proba(features[0, 120:])))
    best = int(np.argmin(losses))
    assert 0 < best < 9

    def history(score: str) -> list[dict]:
        journal = Journal(ResumeFile(tmp_path / f"{score}.pt", "key"))
        strategy = make_strategy(probe, select_by=score)
        progress = probes.fit(strategy, features[:1], examples, 0, journal)
        assert probes.fit(strategy, features[:1], examples, 0, journal).history == progress.history
        return progress.history

    found = [row["val_loss"] for row in history("loss")]
    assert len(found) == best + 3 and int(np.argmin(found)) == best
    assert found[: best + 1] == pytest.approx(losses[: best + 1], rel=1e-3)
    assert len(history("accuracy")) == 12
    head = probes.head(make_strategy(probe, {"epochs": 1}), features[:1], examples, 0)
    alone = LogisticRegression(C=probes.strengths(12)[best], max_iter=1000)
    assert np.allclose(head["weight"], alone.fit(features[0, :120], labels[:120]).coef_, atol=1e-4)
