"""Metrics against scikit-learn and hand-worked cases."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from headstart import HeadstartError
from headstart.verdict import evaluation as ev


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def sample(n=300, k=4, seed=0, missing=None):
    """Noisy predictions; ties among scores on purpose; class `missing` has no image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k - 1 if missing is not None else k, size=n)
    if missing is not None:
        labels[labels >= missing] += 1
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.2
    probabilities = np.exp(logits)
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 2) + 1e-3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    classes = [f"class{i}" for i in range(k)]
    return labels, probabilities, classes


def frame(labels, probabilities, classes):
    return ev.predictions_frame(
        [f"i{i}" for i in range(len(labels))], labels, probabilities, classes
    )


def values(result):
    return {name: metric["value"] for name, metric in result["metrics"].items()}


def test_predictions_frame_follows_the_format():
    predictions = frame(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]), ["cat", "dog"])
    assert list(predictions.columns) == ["id", "label", "predicted", "p:cat", "p:dog"]
    assert predictions["label"].tolist() == ["cat", "dog"]
    assert predictions["predicted"].tolist() == ["cat", "cat"]
    assert (predictions.dtypes.iloc[3:] == np.float32).all()


@pytest.mark.parametrize("k", [2, 3, 4, 6])
def test_values_are_those_of_scikit_learn(k):
    labels, probabilities, classes = sample(k=k)
    predictions = frame(labels, probabilities, classes)
    result = ev.evaluate(predictions, classes)
    got, p = values(result), predictions.iloc[:, 3:].to_numpy(dtype=float)
    p = p / p.sum(axis=1, keepdims=True)
    answers = p.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(labels, answers),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, answers),
        "macro_f1": sk.f1_score(labels, answers, average="macro"),
        "log_loss": sk.log_loss(labels, p),
        "brier": sk.brier_score_loss(labels, p[:, 1] if k == 2 else p),
        "roc_auc": sk.roc_auc_score(labels, p[:, 1])
        if k == 2
        else sk.roc_auc_score(labels, p, multi_class="ovr", average="macro"),
    }
    for top in (3, 5):
        if k > top:
            expected[f"top_{top}"] = sk.top_k_accuracy_score(labels, p - 1e-9 * np.arange(k), k=top)
    assert set(got) == {*expected, "ece"}
    assert got == pytest.approx({**expected, "ece": got["ece"]})
    assert result["confusion"] == sk.confusion_matrix(labels, answers).tolist()
    assert result["n_test"] == len(labels) and result["classes"] == classes


def test_calibration_error_by_hand():
    # Two bins: (0.6, 0.6667] holds 0.62 and 0.66, half of them right; (0.8667, 0.9333] holds 0.9.
    correct = np.array([True, False, True])
    confidence = np.array([0.62, 0.66, 0.9])
    by_hand = (2 * abs(0.5 - 0.64) + 1 * abs(1 - 0.9)) / 3
    assert ev.expected_calibration_error(correct, confidence) == pytest.approx(by_hand)
    edges = np.array([1.0, 1 / 15])
    assert ev._bins(edges).tolist() == [14, 0]


def test_wilson_intervals_of_proportions():
    labels, probabilities, classes = sample(k=4)
    result = ev.evaluate(frame(labels, probabilities, classes), classes)
    confusion = np.array(result["confusion"])
    hits = confusion[1, 1]
    cases = [
        (result["metrics"]["accuracy"], np.trace(confusion), confusion.sum()),
        (result["per_class"]["class1"]["recall"], hits, confusion[1].sum()),
        (result["per_class"]["class1"]["precision"], hits, confusion[:, 1].sum()),
    ]
    for metric, successes, trials in cases:
        low, high = proportion_confint(successes, trials, method="wilson")
        assert metric == pytest.approx({"value": successes / trials, "low": low, "high": high})
    assert result["per_class"]["class1"]["support"] == confusion[1].sum()
    # Wilson for 8 of 10, worked by hand: centre (0.8 + z²/20) / (1 + z²/10), z = 1.96.
    assert ev.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "log_loss", "brier", "roc_auc"])
def test_intervals_agree_with_a_bootstrap(name):
    """scipy's, over the images, of scikit-learn's metrics; never much narrower."""
    labels, probabilities, classes = sample(k=3, n=400)
    predictions = frame(labels, probabilities, classes)
    got = ev.evaluate(predictions, classes)["metrics"][name]
    p = ev.answers(predictions, classes).probabilities
    metric = {
        "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(axis=1)),
        "macro_f1": lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro"),
        "log_loss": sk.log_loss,
        "brier": sk.brier_score_loss,
        "roc_auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
    }[name]
    reference = bootstrap(
        (np.arange(400),),
        lambda rows: metric(labels[rows], p[rows]),
        vectorized=False,
        method="percentile",
        n_resamples=400,
        rng=1,
    ).confidence_interval
    width = reference.high - reference.low
    assert got["low"] == pytest.approx(reference.low, abs=0.25 * width)
    assert got["high"] == pytest.approx(reference.high, abs=0.25 * width)
    assert got["high"] - got["low"] > 0.9 * width


def test_the_interval_of_a_rare_class_covers_the_truth():
    """Balanced accuracy with five images of the rare class, which bootstrap draws often lack."""
    rng, covered, repetitions = np.random.default_rng(5), 0, 300
    labels = np.repeat([0, 1], [95, 5])
    for _ in range(repetitions):
        right = rng.random(100) < np.where(labels == 0, 0.9, 0.7)
        answers = np.where(right, labels, 1 - labels)
        predictions = frame(labels, 0.1 + 0.8 * np.eye(2)[answers], ["a", "b"])
        found = ev.evaluate(predictions, ["a", "b"])["metrics"]["balanced_accuracy"]
        covered += found["low"] <= 0.8 <= found["high"]
    assert covered / repetitions >= 0.93


def test_uniform_probabilities_name_the_first_class_everywhere():
    labels = np.array([0, 3, 5, 0])
    predictions = frame(labels, np.full((4, 6), 1 / 6), list("abcdef"))
    found = ev.evaluate(predictions, list("abcdef"))["metrics"]
    values = [found[name]["value"] for name in ("accuracy", "top_3", "top_5")]
    assert values == [0.5, 0.5, 0.75]


def test_every_interval_holds_its_value_and_the_result_is_json():
    for k in (2, 6):
        labels, probabilities, classes = sample(k=k, n=60)
        result = ev.evaluate(frame(labels, probabilities, classes), classes)
        json.dumps(result, allow_nan=False)
        assert set(result["metrics"].pop("ece")) == {"value"}
        for metric in result["metrics"].values():
            assert metric["low"] <= metric["value"] <= metric["high"]


def test_perfect_classifier():
    labels = np.arange(30) % 3
    result = ev.evaluate(frame(labels, np.eye(3)[labels], ["a", "b", "c"]), ["a", "b", "c"])
    got = result["metrics"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc"):
        assert got[name]["value"] == 1 and got[name]["high"] == 1
        assert 0.8 < got[name]["low"] < 0.95
    assert got["accuracy"]["low"] == pytest.approx(proportion_confint(30, 30, method="wilson")[0])
    assert got["log_loss"]["value"] == pytest.approx(0) and got["ece"]["value"] == 0


@pytest.mark.parametrize("k", [2, 4])
def test_a_class_missing_from_the_test_set_leaves_undefined_metrics_out(k):
    labels, probabilities, classes = sample(k=k, missing=1)
    result = ev.evaluate(frame(labels, probabilities, classes), classes)
    json.dumps(result, allow_nan=False)
    assert "roc_auc" not in result["metrics"]
    assert result["per_class"]["class1"]["support"] == 0
    assert "recall" not in result["per_class"]["class1"]


def test_a_class_with_a_single_image():
    labels, probabilities, classes = sample(k=3, n=40, missing=2)
    labels[0] = 2
    result = ev.evaluate(frame(labels, probabilities, classes), classes)
    json.dumps(result, allow_nan=False)
    assert "roc_auc" in result["metrics"]


def test_a_class_never_predicted_has_no_precision():
    labels = np.array([0, 0, 1])
    result = ev.evaluate(frame(labels, np.tile([0.9, 0.1], (3, 1)), ["a", "b"]), ["a", "b"])
    assert "precision" not in result["per_class"]["b"]
    assert result["per_class"]["b"]["recall"]["value"] == 0


def test_majority_floor():
    labels = np.array([0, 1, 1, 1])
    predictions = frame(labels, np.full((4, 2), 0.5), ["a", "b"])
    assert ev.evaluate(predictions, ["a", "b"])["majority_floor"] == 0.75
    assert ev.evaluate(predictions, ["a", "b"])["majority_class"] == "b"
    trained = ev.evaluate(predictions, ["a", "b"], ["a", "a", "b"])
    assert trained["majority_floor"] == 0.25


def test_sigmoid_outputs_are_scaled_to_sum_to_one():
    labels, probabilities, classes = sample(k=3)
    once = ev.evaluate(frame(labels, probabilities, classes), classes)
    half = ev.evaluate(frame(labels, probabilities / 2, classes), classes)
    assert values(once) == pytest.approx(values(half), rel=1e-5)


def test_diverged_training_is_named():
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan], [np.inf, 0.0]])
    with pytest.raises(HeadstartError, match="2 of 3 test images.*lower the learning rate"):
        frame(np.array([0, 1, 1]), probabilities, ["a", "b"])
    predictions = frame(np.array([0, 1]), np.full((2, 2), 0.5), ["a", "b"])
    predictions.loc[1, "p:b"] = np.nan
    with pytest.raises(HeadstartError, match="1 of 2 test images.*diverged"):
        ev.evaluate(predictions, ["a", "b"])


def test_mistakes_are_named():
    predictions = frame(np.array([0, 1]), np.full((2, 2), 0.5), ["a", "b"])
    with pytest.raises(HeadstartError, match="do not match the classes a, c"):
        ev.evaluate(predictions, ["a", "c"])
    with pytest.raises(HeadstartError, match="no test images"):
        ev.evaluate(predictions.iloc[:0], ["a", "b"])
    with pytest.raises(HeadstartError, match="label 'x' is none of the classes"):
        ev.evaluate(predictions.assign(label=["a", "x"]), ["a", "b"])
    with pytest.raises(HeadstartError, match="not its logits"):
        frame(np.array([0]), np.array([[-1.0, 2.0]]), ["a", "b"])


def test_predictions_survive_parquet(tmp_path):
    labels, probabilities, classes = sample(k=2)
    predictions = frame(labels, probabilities, classes)
    predictions.to_parquet(tmp_path / "predictions.parquet")
    read = pd.read_parquet(tmp_path / "predictions.parquet")
    assert ev.evaluate(read, classes) == ev.evaluate(predictions, classes)
