"""Estimates of studies with several seeds and splits, with groups of images, of any metric."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_1samp, ttest_ind

import headstart
from headstart.verdict import components as co
from headstart.verdict import inference
from headstart.verdict import statistics as st
from headstart.verdict.scores import Scores, Study

A, B = ("a", 1.0), ("b", 1.0)


def study_of(a, b, groups=None, **settings):
    """Two cells from {(split, seed): row of scores}."""
    cells = {
        key: Scores(tuple(rows), np.array(list(rows.values()), dtype=float))
        for key, rows in ((A, a), (B, b))
    }
    n = cells[A].values.shape[1]
    return Study(tuple(map(str, range(n))), cells, groups=groups, **settings)


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


def answers_of(accuracy, seed):
    return (np.random.default_rng([seed, round(100 * accuracy)]).random(300) < accuracy) * 1.0


def numbered(rows, first):
    return {(0, first + k): row for k, row in enumerate(rows)}


def interval(pair, alpha=0.05):
    return (pair.value, *pair.components.interval(alpha))


def p(pair):
    return pair.components.p(pair.value)


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
    settings = {} if right_or_wrong else {"metric": "log_loss", "quantum": 0.0}
    a = {seed: make(0.9, seed, n=120) for seed in seeds}
    b = {seed: make(0.8, seed + 10, n=120) for seed in seeds}
    ends = [20, 70]
    pooled = study_of(folds(a, ends), folds(b, ends), **settings)
    plain = study_of(whole(a), whole(b), **settings)
    for key in (A, B):
        assert bounds(inference.mean(pooled, key)) == pytest.approx(
            bounds(inference.mean(plain, key))
        )
    got, expected = (inference.difference(study, A, B) for study in (pooled, plain))
    assert interval(got) == pytest.approx(interval(expected))


def test_tests_of_a_run_look_at_its_own_images(answers):
    a, b = answers(0.9, 0), answers(0.7, 1)
    study = study_of(folds({5: a}, [100]), folds({5: b}, [100]))
    first, second = inference.difference(study, A, B).mcnemar
    assert (first.run, second.run) == ((0, 5), (1, 5))
    assert (first.only_a, first.only_b, first.p) == st.mcnemar(a[:100], b[:100])
    assert (second.only_a, second.only_b, second.p) == st.mcnemar(a[100:], b[100:])
    assert inference.mean(study, A).wilson == (
        st.wilson(int(a[:100].sum()), 100),
        st.wilson(int(a[100:].sum()), 200),
    )


def test_a_single_model_has_wilson_s_interval(answers):
    """One seed: the effective number of images is their number."""
    right = answers(0.9, 0)
    mean = inference.mean(study_of({(0, 0): right}, {(0, 0): right}), A)
    assert (mean.low, mean.high) == pytest.approx(st.wilson(int(right.sum()), 300))


def test_no_mistake_and_one_mistake():
    """A perfect strategy is not certain, and one mistake does not make it surer."""
    perfect = {(0, seed): np.ones(100) for seed in range(3)}
    mean = inference.mean(study_of(perfect, perfect), A)
    assert (mean.low, mean.high) == pytest.approx(st.wilson(200, 200))
    assert inference.mean(study_of({(0, 0): np.ones(100)}, perfect), A).low == pytest.approx(
        st.wilson(100, 100)[0]
    )
    pair = inference.difference(study_of(perfect, perfect), A, B)
    _, low, high = interval(pair)
    # half an image each way: sqrt(1 / 102) / sqrt(102), times t(99)
    assert high == -low == pytest.approx(t.isf(0.025, 99) / 102) and p(pair) == 1
    flawed = {run: row.copy() for run, row in perfect.items()}
    flawed[0, 0][0] = 0
    flawed_mean = inference.mean(study_of(flawed, perfect), A)
    assert flawed_mean.high - flawed_mean.low > mean.high - mean.low


@pytest.mark.parametrize(("only_a", "only_b"), [(4, 0), (5, 0), (6, 0), (12, 2), (40, 10)])
def test_two_models_differ_no_more_surely_than_mcnemar_says(only_a, only_b):
    a, b = np.ones(300), np.ones(300)
    b[:only_a], a[only_a : only_a + only_b] = 0, 0
    pair = inference.difference(study_of({(0, 0): a}, {(0, 0): b}), A, B)
    exact = binomtest(only_a, only_a + only_b).pvalue
    assert pair.mcnemar[0].p == pytest.approx(exact)
    assert p(pair) >= exact * (1 - 1e-6) and pair.about_models
    _, low, high = interval(pair)
    assert (low > 0 or high < 0) == (p(pair) < 0.05)


def test_unequal_seeds_use_them_all(answers):
    """The difference is that of the means that are shown, so that a leader never trails."""
    a = {(0, seed): answers(0.9, seed) for seed in range(3)}
    b = {(0, seed): answers(0.8, 10 + seed) for seed in (2, 5)}
    pair = inference.difference(study_of(a, b), A, B)
    expected = np.mean(list(a.values())) - np.mean(list(b.values()))
    assert pair.value == pytest.approx(expected)
    assert [test.run for test in pair.mcnemar] == [(0, 2)]
    assert [seeds.freedom for seeds in pair.components.seeds] == [2, 1]
    assert not pair.about_models


def test_the_numbers_of_seeds_pair_nothing():
    """Two strategies of the same seeds differ as surely as two of other seeds."""
    a, b = ([answers_of(at, seed) for seed in range(3)] for at in (0.9, 0.85))
    same = inference.difference(study_of(numbered(a, 0), numbered(b, 0)), A, B)
    other = inference.difference(study_of(numbered(a, 0), numbered(b, 7)), A, B)
    assert interval(same) == interval(other)
    assert len(same.mcnemar) == 3 and other.mcnemar == ()


def test_where_seeds_alone_vary_it_is_welch_s_test():
    """Images that all answer alike leave the seeds: scipy's t-test of unequal variances."""
    a, b = np.array([0.1, 0.5, 0.3]), np.array([0.2, 0.25, 0.9, 0.4, 0.3])
    rows = ([np.full(9, mean) for mean in means] for means in (a, b))
    study = study_of(*(numbered(row, 0) for row in rows), metric="log_loss", quantum=0.0)
    reference = ttest_ind(a, b, equal_var=False)
    found = inference.difference(study, A, B)
    assert p(found) == pytest.approx(reference.pvalue)
    low, high = reference.confidence_interval()
    assert interval(found) == pytest.approx((a.mean() - b.mean(), low, high))


def test_a_strategy_whose_seeds_are_all_alike_is_one_model_of_its_split(answers):
    fixed = answers(0.85, 9) * 1.0
    moving = {(0, seed): answers(0.9, seed) * 1.0 for seed in range(3)}
    study = study_of(moving, {(0, seed): fixed for seed in range(3)})
    cell = replace(study.cells[B], deterministic=True)
    study = replace(study, cells={A: study.cells[A], B: cell})
    mean = inference.mean(study, B)
    assert (mean.low, mean.high) == pytest.approx(st.wilson(int(fixed.sum()), 300))
    pair = inference.difference(study, A, B)
    # its row beside every seed of the other
    rows = np.array([row - fixed for row in moving.values()])
    scores = rows.mean(axis=0)
    assert pair.components.images == pytest.approx(co.discordance_variance(scores, 1.0))
    assert pair.components.seeds[0].variance == pytest.approx(rows.mean(axis=1).var(ddof=1) / 3)
    assert len(pair.components.seeds) == 1 and not pair.about_models
    assert [test.run for test in pair.mcnemar] == [(0, 0), (0, 1), (0, 2)]
    backwards = inference.difference(study, B, A)
    assert interval(backwards) == pytest.approx((-pair.value, *(-x for x in interval(pair)[:0:-1])))
    assert backwards.mcnemar[0].only_a == pair.mcnemar[0].only_b
    both = replace(study, cells={A: cell, B: cell})
    alike = inference.difference(both, A, B)
    assert alike.value == 0 and not alike.about_models and len(alike.mcnemar) == 1


def test_one_seed_against_several_is_about_a_model(answers):
    a = {(0, seed): answers(0.9, seed) for seed in range(3)}
    pair = inference.difference(study_of(a, {(0, 0): answers(0.8, 7)}), A, B)
    assert pair.about_models and len(pair.components.seeds) == 1


def test_splits_drawn_anew_pair_and_widen_by_their_overlap(answers):
    rng = np.random.default_rng(0)
    tested = {seed: rng.permutation(300) < 60 for seed in range(4)}
    a = {(s, s): np.where(tested[s], answers(0.9, s), np.nan) for s in tested}
    b = {(s, s): np.where(tested[s], answers(0.8, 10 + s), np.nan) for s in tested}
    narrow, wide = (
        inference.difference(study_of(a, b, overlap=overlap), A, B) for overlap in (0.0, 0.3)
    )
    gaps = [np.nanmean(a[run] - b[run]) for run in a]
    assert narrow.value == pytest.approx(np.mean(gaps))
    (seeds,) = wide.components.seeds
    assert seeds.variance == pytest.approx((1 / 4 + 0.3) * np.var(gaps, ddof=1))
    assert interval(wide)[2] > interval(narrow)[2]
    mean = inference.mean(study_of(a, b, overlap=0.3), A)
    assert mean.low < mean.value < mean.high


def test_copies_in_groups_say_no_more_than_the_single_images(answers):
    a, b = ({seed: answers(at, seed + round(100 * at)) for seed in (0, 1)} for at in (0.9, 0.85))
    shuffled = np.random.default_rng(4).permutation(900)
    groups = np.repeat(np.arange(300), 3)[shuffled]

    def copied(rows):
        return whole({seed: np.repeat(row, 3)[shuffled] for seed, row in rows.items()})

    def intervals(study):
        pair = inference.difference(study, A, B)
        return [*bounds(inference.mean(study, A)), *interval(pair)]

    single = intervals(study_of(whole(a), whole(b)))
    assert intervals(study_of(copied(a), copied(b), groups)) == pytest.approx(single)


def test_a_perfect_strategy_is_as_certain_as_it_has_groups():
    rows, groups = {(0, 0): np.ones(60)}, np.repeat(np.arange(20), 3)
    mean = inference.mean(study_of(rows, rows, groups), A)
    assert (mean.low, mean.high) == pytest.approx(st.wilson(20, 20))
    assert mean.wilson == (st.wilson(60, 60),)


def test_any_metric_scales_as_its_scores_do():
    a, b = ({seed: scored(at, seed + at) for seed in (0, 1)} for at in (3, 2))

    def estimates(scale, shift):
        rows = [{seed: scale * row + shift for seed, row in cell.items()} for cell in (a, b)]
        study = study_of(*map(whole, rows), metric="log_loss", quantum=0.0)
        return inference.mean(study, A), inference.difference(study, A, B)

    (mean, pair), (other_mean, other_pair) = estimates(1, 0), estimates(10, -7)
    assert other_mean.value == pytest.approx(10 * mean.value + 7)
    assert other_mean.high - other_mean.low == pytest.approx(10 * (mean.high - mean.low))
    assert np.array(interval(other_pair)) == pytest.approx(10 * np.array(interval(pair)))
    assert p(other_pair) == pytest.approx(p(pair))
    assert mean.low < mean.value < mean.high
    assert mean.wilson == () and pair.mcnemar == ()


def test_a_loss_is_shown_without_its_minus():
    row = scored(-1, 0, n=500)
    study = study_of({(0, 0): row}, {(0, 0): row}, metric="log_loss", quantum=0.0)
    mean = inference.mean(study, A)
    reference = ttest_1samp(-row, 0).confidence_interval()
    assert bounds(mean) == pytest.approx((-row.mean(), reference.low, reference.high))


def test_the_majority_is_compared_on_the_same_images():
    """A floor of 75 % that is right exactly where the leader is, but for two images."""
    leader, floor = np.arange(100) < 77, np.arange(100) < 75
    study = study_of({(0, 0): leader}, {(0, 0): leader})
    study = replace(study, majority=Scores(((0, 0),), floor[None].astype(float), True))
    both = inference.beside_majority(study, A)
    assert inference.mean(both, ("", 1.0)).value == 0.75
    found = inference.difference(both, A, ("", 1.0)).components
    assert found.value == pytest.approx(0.02)
    assert found.p(found.value) >= binomtest(2, 2).pvalue * (1 - 1e-6)
    assert inference.beside_majority(replace(study, majority=None), A) is None


def test_runs_of_a_split_must_test_the_same_images():
    rows = np.array([[1.0, 0.0, np.nan], [1.0, np.nan, 0.0]])
    with pytest.raises(ValueError, match="other test images in split 0"):
        study_of({(0, 0): rows[0]}, {(0, 0): rows[1]})
