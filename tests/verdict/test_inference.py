"""Estimates of studies with several splits, with groups of images, and of any metric."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import headstart
from headstart.verdict import inference
from headstart.verdict import statistics as st
from headstart.verdict.scores import Scores, Study

A, B = ("a", 1.0), ("b", 1.0)


def study_of(a, b, groups=None):
    """Two cells from {(split, seed): row of scores}."""
    cells = {
        key: Scores(tuple(rows), np.array(list(rows.values()), dtype=float))
        for key, rows in ((A, a), (B, b))
    }
    n = cells[A].values.shape[1]
    return Study(tuple(map(str, range(n))), cells, 0.5, groups)


def scored(location, seed, n=120):
    """Scores that are not right-or-wrong, hard images shared by all."""
    hard = np.random.default_rng(99).normal(size=n)
    return location + hard + 0.3 * np.random.default_rng(seed).normal(size=n)


def folds(rows, ends):
    """The same answers, {seed: row}, tested in parts that `ends` tell apart: {(split, seed)}."""
    split = np.searchsorted(ends, np.arange(len(next(iter(rows.values())))), side="right")
    return {
        (k, seed): np.where(split == k, row, np.nan)
        for k in range(split.max() + 1)
        for seed, row in rows.items()
    }


def whole(rows):
    return {(0, seed): row for seed, row in rows.items()}


def bounds(estimate):
    return estimate.value, estimate.low, estimate.high


def test_it_can_be_used_without_pandas_scikit_learn_and_torch():
    code = (
        "import sys, headstart.verdict.inference;"
        "print(sorted({'pandas', 'sklearn', 'torch', 'statsmodels'} & set(sys.modules)))"
    )
    path = {"PYTHONPATH": str(Path(headstart.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | path, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
@pytest.mark.parametrize("right_or_wrong", [True, False])
def test_disjoint_splits_pool_to_all_images(answers, seeds, right_or_wrong):
    """Folds of unequal size say what one test on all their images says."""
    make = answers if right_or_wrong else scored
    a = {seed: make(0.9, seed, n=120) for seed in seeds}
    b = {seed: make(0.8, seed + 10, n=120) for seed in seeds}
    ends = [20, 70]
    pooled = inference.resample(study_of(folds(a, ends), folds(b, ends)), 1000)
    plain = inference.resample(study_of(whole(a), whole(b)), 1000)
    for key, rows in ((A, a), (B, b)):
        mean = inference.mean(pooled, key)
        assert mean.value == pytest.approx(np.mean(list(rows.values())))
        assert bounds(mean) == pytest.approx(bounds(inference.mean(plain, key)))
    got, expected = (inference.difference(drawn, A, B) for drawn in (pooled, plain))
    assert bounds(got) == pytest.approx(bounds(expected)) and got.p == expected.p


def test_tests_of_a_run_look_at_its_own_images(answers):
    a, b = answers(0.9, 0), answers(0.7, 1)
    drawn = inference.resample(study_of(folds({5: a}, [100]), folds({5: b}, [100])), 100)
    first, second = inference.difference(drawn, A, B).mcnemar
    assert (first.run, second.run) == ((0, 5), (1, 5))
    assert (first.only_a, first.only_b, first.p) == st.mcnemar(a[:100], b[:100])
    assert (second.only_a, second.only_b, second.p) == st.mcnemar(a[100:], b[100:])
    assert inference.mean(drawn, A).wilson == (
        st.wilson(int(a[:100].sum()), 100),
        st.wilson(int(a[100:].sum()), 200),
    )


def test_runs_are_paired_by_split_and_seed(answers):
    parts = folds({0: answers(0.9, 0), 1: answers(0.9, 1)}, [100])
    others = folds({0: answers(0.8, 2), 1: answers(0.8, 3)}, [100])
    common = {(0, 1), (1, 0)}
    some = {run: row for run, row in others.items() if run in common}
    pair = inference.difference(inference.resample(study_of(parts, some), 200), A, B)
    assert [test.run for test in pair.mcnemar] == [(0, 1), (1, 0)]
    # Seed 1 tests the first 100 images, seed 0 the other 200.
    gap = [parts[run] - some[run] for run in common]
    assert pair.value == pytest.approx(np.nanmean(gap))

    a = {run: row for run, row in parts.items() if run not in common}
    pair = inference.difference(inference.resample(study_of(a, some), 200), A, B)
    assert pair.mcnemar == () and pair.low < pair.value < pair.high


def test_copies_in_groups_say_no_more_than_the_single_images(answers):
    a, b = {0: answers(0.9, 0)}, {0: answers(0.85, 5)}
    shuffled = np.random.default_rng(4).permutation(900)
    groups = np.repeat(np.arange(300), 3)[shuffled]

    def copied(rows):
        return whole({seed: np.repeat(row, 3)[shuffled] for seed, row in rows.items()})

    def interval(study):
        drawn = inference.resample(study, 2000)
        return [*bounds(inference.mean(drawn, A)), *bounds(inference.difference(drawn, A, B))]

    single = interval(study_of(whole(a), whole(b)))
    assert interval(study_of(copied(a), copied(b), groups)) == pytest.approx(single)
    alone = interval(study_of(copied(a), copied(b)))
    assert alone[5] - alone[4] == pytest.approx((single[5] - single[4]) / np.sqrt(3), rel=0.1)


def test_a_perfect_strategy_is_as_certain_as_it_has_groups():
    rows, groups = {(0, 0): np.ones(60)}, np.repeat(np.arange(20), 3)
    mean = inference.mean(inference.resample(study_of(rows, rows, groups), 100), A)
    assert (mean.low, mean.high) == st.wilson(20, 20)
    assert mean.wilson == (st.wilson(60, 60),)


def test_any_metric_scales_as_its_scores_do():
    a, b = ({seed: scored(at, seed + at) for seed in (0, 1)} for at in (3, 2))

    def estimates(scale, shift):
        rows = [{seed: scale * row + shift for seed, row in cell.items()} for cell in (a, b)]
        drawn = inference.resample(study_of(*map(whole, rows)), 1000)
        return inference.mean(drawn, A), inference.difference(drawn, A, B)

    (mean, pair), (other_mean, other_pair) = estimates(1, 0), estimates(10, -7)
    assert np.array(bounds(other_mean)) == pytest.approx(10 * np.array(bounds(mean)) - 7)
    assert np.array(bounds(other_pair)) == pytest.approx(10 * np.array(bounds(pair)))
    assert other_pair.p == pair.p and pair.distinguishable and other_pair.distinguishable
    assert mean.low < mean.value < mean.high
    assert mean.wilson == () and pair.mcnemar == ()


def test_the_interval_of_a_metric_is_that_of_its_mean():
    row = scored(0, 0, n=500)
    drawn = inference.resample(study_of({(0, 0): row}, {(0, 0): row}), 20_000)
    mean, error = inference.mean(drawn, A), row.std() / np.sqrt(500)
    expected = row.mean(), row.mean() - 1.96 * error, row.mean() + 1.96 * error
    assert bounds(mean) == pytest.approx(expected, abs=0.05 * error)


def test_equal_scores_of_any_metric_have_no_difference():
    rows = {seed: scored(0.3, seed) for seed in range(3)}
    pair = inference.difference(inference.resample(study_of(whole(rows), whole(rows)), 500), A, B)
    assert bounds(pair) == pytest.approx((0, 0, 0), abs=1e-12) and pair.p == 1
    assert not pair.distinguishable


def test_all_pairs_share_one_correction(make_study, answers):
    study = make_study(
        **{
            name: ([0], [answers(p, k)])
            for k, (name, p) in enumerate([("low", 0.8), ("high", 0.9), ("middle", 0.85)])
        }
    )
    keys = inference.ranked(study, 1.0)
    assert [key[0] for key in keys] == ["high", "middle", "low"]
    drawn = inference.resample(study, 1000)
    pairs = inference.differences(drawn, keys)
    assert [(pair.a, pair.b) for pair in pairs] == [
        (keys[0], keys[1]),
        (keys[0], keys[2]),
        (keys[1], keys[2]),
    ]
    assert [pair.p_holm for pair in pairs] == st.holm([pair.p for pair in pairs])
    alone = inference.difference(drawn, *keys[:2])
    assert alone.p == alone.p_holm == pairs[0].p


def test_runs_of_a_split_must_test_the_same_images():
    rows = np.array([[1.0, 0.0, np.nan], [1.0, np.nan, 0.0]])
    with pytest.raises(ValueError, match="other test images in split 0"):
        study_of({(0, 0): rows[0]}, {(0, 0): rows[1]})
