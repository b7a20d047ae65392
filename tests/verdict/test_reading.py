"""Run folders become results and a study, or a line that says what is wrong."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

from headstart import HeadstartError
from headstart.verdict import reading


def test_predictions_are_aligned_by_id(write_run, images, answers):
    right = answers(0.8, 0)
    order = np.random.default_rng(0).permutation(300)
    plain = write_run("a", 0, right)
    shuffled = write_run("b", 0, right[order], images.iloc[order])
    study = reading.study(reading.read([plain, shuffled]))
    assert list(study.images) == images["id"].tolist()
    np.testing.assert_array_equal(study.cells["a", 1.0].values, study.cells["b", 1.0].values)
    np.testing.assert_array_equal(study.cells["a", 1.0].values[0], right)


def test_the_runs_of_a_cell_are_sorted_by_seed(run_dirs):
    results = reading.read(run_dirs)
    assert [result.folder for result in results] == run_dirs
    assert [result.seed for result in results[:2]] == [1, 0]
    study = reading.study(results)
    assert list(study.cells) == [
        ("scratch", 1.0),
        ("full", 1.0),
        ("full", 0.1),
        ("head_only", 1.0),
    ]
    scratch = study.cells["scratch", 1.0]
    assert scratch.runs == ((0, 0), (0, 1))
    np.testing.assert_array_equal(
        scratch.values[1], results[0].predictions.eval("label == predicted")
    )


def test_each_split_may_have_its_own_test_images(write_run, images, answers):
    right = answers(0.8, 0)
    first = write_run("a", 3, right[:200], images[:200], split=0)
    second = write_run("a", 3, right[200:], images[200:], split=1)
    study = reading.study(reading.read([second, first]))
    assert list(study.images) == images["id"].tolist()
    cell = study.cells["a", 1.0]
    assert cell.runs == ((0, 3), (1, 3)) and cell.seeds == (3, 3)
    np.testing.assert_array_equal(cell.values[0], np.where(np.arange(300) < 200, right, np.nan))
    np.testing.assert_array_equal(cell.values[1], np.where(np.arange(300) < 200, np.nan, right))


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_any_metric_of_the_predictions(write_run, images, answers, metric):
    """What a seed predicted on its folds is scored as one test of all images."""
    right = answers(0.8, 0)
    whole = write_run("a", 0, right)
    frame, parts = pd.read_parquet(whole / "predictions.parquet"), []
    for split, rows in enumerate((slice(0, 100), slice(100, 300)), start=1):
        parts.append(write_run("b", 0, right[rows], images[rows], split=split))
        frame[rows].to_parquet(parts[-1] / "predictions.parquet")
    study = reading.study(reading.read([whole, *parts]), metric)
    pooled = study.cells["b", 1.0].replicates
    np.testing.assert_allclose(pooled, study.cells["a", 1.0].values)
    expected = {
        "balanced_accuracy": balanced_accuracy_score(frame["label"], frame["predicted"]),
        "log_loss": -log_loss(frame["label"] == "b", frame["p:b"].astype(float)),
    }
    assert pooled.mean() == pytest.approx(expected[metric])
    assert (study.majority is None) == (metric == "log_loss")


def test_a_metric_without_meaning_is_named(write_run, images, answers):
    one_class = images[images["label"] == "a"]
    run = write_run("a", 0, answers(0.8, 0, len(one_class)), one_class)
    with pytest.raises(HeadstartError, match="verdict.metric roc_auc is not defined"):
        reading.study(reading.read([run]), "roc_auc")


def test_seeds_that_give_the_same_model_are_found_out(write_run, answers):
    """Equal probabilities throughout; equal answers alone are not enough."""
    right = answers(0.8, 0)
    runs = [write_run("same", seed, right, draw=7) for seed in (0, 1)]
    runs += [write_run("other", seed, right) for seed in (0, 1)]
    runs += [write_run("once", 0, right)]
    cells = reading.study(reading.read(runs)).cells
    assert {key[0]: cell.deterministic for key, cell in cells.items()} == {
        "same": True,
        "other": False,
        "once": False,
    }
    assert len(cells["same", 1.0].replicates) == 1


def test_the_majority_answers_every_image_alike(run_dirs, images):
    study = reading.study(reading.read(run_dirs))
    assert study.majority is not None and study.majority.deterministic
    np.testing.assert_array_equal(study.majority.values[0], images["label"] == "b")
    assert study.overlap == pytest.approx(300 / 1000)


def test_the_majority_floor_is_that_of_the_largest_fraction(run_dirs):
    results = reading.read(run_dirs)
    for result in results:
        result.metrics["majority_floor"] = 0.9 if result.key[1] < 1 else result.seed / 10
    assert reading.study(results).majority_floor == 0.1


def test_runs_on_different_test_images_are_named(write_run, images, answers):
    one = write_run("a", 0, answers(0.8, 0))
    strange = images.replace({"id": {images["id"].iloc[-1]: "stranger"}})
    other = write_run("b", 0, answers(0.8, 0), strange)
    with pytest.raises(HeadstartError, match="different test images") as error:
        reading.read([one, other])
    assert str(one) in str(error.value) and str(other) in str(error.value)
    assert "rerun evaluate" in str(error.value)


def test_runs_with_different_labels_are_named(write_run, images, answers):
    one = write_run("a", 0, answers(0.8, 0))
    other = write_run("a", 1, answers(0.8, 0), images.assign(label=images["label"][::-1].values))
    with pytest.raises(HeadstartError, match="different test images or labels"):
        reading.read([one, other])


def test_a_run_given_twice(run_dirs):
    with pytest.raises(HeadstartError, match="two runs are scratch, fraction 1, split 0, seed 1"):
        reading.read([*run_dirs, run_dirs[0]])


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "predictions.parquet"])
def test_a_missing_file_is_named(write_run, answers, name):
    run = write_run("a", 0, answers(0.8, 0))
    (run / name).unlink()
    with pytest.raises(HeadstartError, match=f"{name}: missing"):
        reading.read([run])


def test_no_runs_at_all():
    with pytest.raises(HeadstartError, match="no runs to compare"):
        reading.read([])


def test_images_of_a_group_are_told_from_the_manifest(run_dirs):
    study = reading.study(reading.read(run_dirs))
    assert reading.grouped(study, pd.Series("", index=list(study.images))).groups is None
    names = pd.Series(["p1", "p2", ""] * 1000, index=range(3000)).iloc[: len(study.images)]
    groups = reading.grouped(study, pd.Series(names.to_list(), index=list(study.images))).groups
    assert groups is not None and len(groups) == len(study.images)
    alone = (names == "").sum()
    assert len(set(groups)) == 2 + alone
    assert len({group for group, name in zip(groups, names, strict=True) if name == "p1"}) == 1
