"""Intervals and tests against independent references and hand-worked cases."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from headstart.verdict import statistics as st


def test_image_bootstrap_draws_the_same_images_for_every_run(answers):
    rows = np.array([answers(0.8, 0), answers(0.8, 0), ~answers(0.8, 0)])
    draws = st.image_bootstrap(rows, 500, seed=1)
    assert draws.shape == (500, 3)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_allclose(draws[:, 0] + draws[:, 2], 1)
    np.testing.assert_array_equal(draws[:, :1], st.image_bootstrap(rows[:1], 500, seed=1))


def test_image_bootstrap_does_not_depend_on_the_chunks(monkeypatch, answers):
    rows = np.array([answers(0.7, 0), answers(0.6, 1)])
    whole = st.image_bootstrap(rows, 100, seed=1)
    monkeypatch.setattr(st, "_CHUNK_BYTES", 8 * 300 * 7)
    np.testing.assert_array_equal(whole, st.image_bootstrap(rows, 100, seed=1))


def test_bootstrap_of_a_single_seed_has_the_binomial_error():
    row = np.arange(400) < 320
    draws = st.bootstrap_mean(st.image_bootstrap(row[None], 20_000, seed=0), seed=0)
    assert draws.mean() == pytest.approx(0.8, abs=0.001)
    assert draws.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.03)
    low, high = st.percentile_interval(draws)
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.003)


def test_bootstrap_over_seeds_has_the_error_of_a_mean_of_seeds():
    # No image varies within a seed, so only the seeds do: sd of the mean of 4 of {0, 0, 1, 1}.
    rows = np.repeat(np.array([[0], [0], [1], [1]], dtype=bool), 50, axis=1)
    draws = st.bootstrap_mean(st.image_bootstrap(rows, 20_000, seed=0), seed=0)
    assert draws.std() == pytest.approx(0.5 / np.sqrt(4), rel=0.03)


def test_bootstrap_matches_a_plain_loop():
    rng = np.random.default_rng(8)
    a, b = rng.random((3, 60)) < 0.8, rng.random((3, 60)) < 0.6
    loop = []
    for _ in range(4000):
        seeds, images = rng.integers(3, size=3), rng.integers(60, size=60)
        grid = np.ix_(seeds, images)
        loop.append(a[grid].mean() - b[grid].mean())
    draws = st.image_bootstrap(np.vstack([a, b]), 20_000, seed=0)
    fast = st.bootstrap_mean(draws[:, :3] - draws[:, 3:], seed=0)
    assert fast.std() == pytest.approx(np.std(loop), rel=0.05)
    assert st.percentile_interval(fast) == pytest.approx(st.percentile_interval(loop), abs=0.012)


def test_a_strategy_without_a_mistake_is_not_certain():
    """Every draw of all-correct answers is 1; the interval must still have a width."""
    perfect = np.ones((3, 100), dtype=bool)
    low, high = st.mean_interval(perfect, np.ones(1000))
    assert high == 1
    reference = binomtest(100, 100).proportion_ci(method="wilson")
    assert low == pytest.approx(reference.low)
    one_wrong = perfect.copy()
    one_wrong[0, 0] = False
    draws = st.bootstrap_mean(st.image_bootstrap(one_wrong, 1000, 0), 0)
    assert st.mean_interval(one_wrong, draws) == st.percentile_interval(draws)


def test_interval_of_a_difference_covers_the_truth():
    """Two strategies, three seeds, hard and easy images, seeds that differ: true gap 5 points."""
    rng, covered, repetitions = np.random.default_rng(2), 0, 100
    for seed in range(repetitions):
        image, shift = rng.normal(0, 0.1, 200), rng.normal(0, 0.01, (2, 3, 1))
        chance = np.array([0.75, 0.70])[:, None, None] + image + shift
        a, b = rng.random((2, 3, 200)) < chance
        draws = st.image_bootstrap(np.vstack([a, b]), 400, seed)
        low, high = st.percentile_interval(st.bootstrap_mean(draws[:, :3] - draws[:, 3:], seed))
        covered += low <= 0.05 <= high
    assert covered / repetitions >= 0.9


def test_bootstrap_p():
    draws = np.array([0.1] * 97 + [-0.1] * 2)
    assert st.bootstrap_p(draws) == pytest.approx(2 * 3 / 100)
    assert st.bootstrap_p(-draws) == st.bootstrap_p(draws)
    assert st.bootstrap_p(np.zeros(99)) == 1


def test_bootstrap_p_is_near_the_z_test(answers):
    a, b = answers(0.80, 0, 800), answers(0.76, 1, 800)
    draws = st.image_bootstrap(np.array([a, b]), 20_000, seed=0)
    gap = a.astype(int) - b.astype(int)
    z = gap.mean() / (gap.std() / np.sqrt(800))
    assert st.bootstrap_p(draws[:, 0] - draws[:, 1]) == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1, then made non-decreasing.
    assert st.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert st.holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_the_exact_binomial_test(seed, answers):
    a, b = answers(0.85, seed), answers(0.78, seed + 100)
    only_a, only_b, p = st.mcnemar(a, b)
    assert (only_a, only_b) == (np.sum(a & ~b), np.sum(b & ~a))
    assert p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_degenerate_cases(answers):
    a = answers(0.5, 0)
    assert st.mcnemar(a, a) == (0, 0, 1.0)
    even = st.mcnemar(np.array([True, False]), np.array([False, True]))
    assert even == (1, 1, 1.0)


# Groups, images that a run does not test, scores other than right-or-wrong


def test_groups_are_drawn_whole():
    """Against a loop that takes each drawn group's images one by one."""
    rng = np.random.default_rng(3)
    groups = rng.choice([7, 2, 9, 4, 30, 5], 40)
    scores = rng.normal(size=(2, 40))
    labels = np.unique(groups)
    drawn = np.random.default_rng(1).integers(len(labels), size=(200, len(labels)))
    loop = []
    for draw in drawn:
        images = np.concatenate([np.flatnonzero(groups == labels[group]) for group in draw])
        loop.append(scores[:, images].mean(axis=1))
    np.testing.assert_allclose(st.image_bootstrap(scores, 200, 1, groups), loop, atol=1e-12)


def test_the_error_of_grouped_images_is_that_of_the_groups():
    """Equal groups whose images agree: the sd of a mean of group means."""
    rng = np.random.default_rng(5)
    means = rng.random(50)
    draws = st.image_bootstrap(np.repeat(means, 4)[None], 20_000, 0, np.repeat(np.arange(50), 4))
    assert draws.std() == pytest.approx(means.std() / np.sqrt(50), rel=0.03)


def test_copies_of_an_image_in_one_group_are_one_image(answers):
    rows = np.array([answers(0.8, 0), answers(0.7, 1)])
    single = st.image_bootstrap(rows, 300, 2)
    groups = np.arange(300)
    np.testing.assert_array_equal(single, st.image_bootstrap(rows, 300, 2, groups))
    copies = st.image_bootstrap(np.repeat(rows, 3, axis=1), 300, 2, np.repeat(groups, 3))
    np.testing.assert_allclose(copies, single)


def test_images_that_a_run_does_not_test_are_left_out():
    rng = np.random.default_rng(6)
    scores = rng.normal(size=(3, 50))
    scores[1, :30] = np.nan
    scores[2, 30:] = np.nan
    drawn = np.random.default_rng(4).integers(50, size=(100, 50))
    loop = [np.nanmean(scores[:, images], axis=1) for images in drawn]
    np.testing.assert_allclose(st.image_bootstrap(scores, 100, 4), loop, atol=1e-12)


def test_scores_keep_float64():
    scores = 1e6 + np.random.default_rng(0).normal(size=(1, 50))
    drawn = np.random.default_rng(4).integers(50, size=(100, 50))
    loop = scores[0, drawn].mean(axis=1)
    np.testing.assert_allclose(st.image_bootstrap(scores, 100, 4)[:, 0], loop, rtol=1e-12)


def test_draws_in_which_nothing_was_tested_are_left_out():
    scores, groups = np.array([[0.5, 0.5, np.nan]]), np.array([0, 0, 1])
    draws = st.image_bootstrap(scores, 400, 0, groups)
    shares = st.image_bootstrap(~np.isnan(scores), 400, 0, groups)
    empty = np.isnan(draws)
    assert 0.2 < empty.mean() < 0.3 and (empty == (shares == 0)).all()
    mean = st.bootstrap_mean(draws, 0, shares=shares)
    np.testing.assert_array_equal(mean, draws[:, 0])
    assert st.percentile_interval(mean) == (0.5, 0.5)
    assert st.bootstrap_p(mean) == pytest.approx(2 / (np.sum(~empty) + 1))


def test_runs_of_a_seed_are_drawn_together():
    """Two seeds on two splits: a drawn seed brings both its runs."""
    metrics = np.tile([0.0, 1.0, 10.0, 11.0], (2000, 1))
    draws = st.bootstrap_mean(metrics, 0, run_seeds=[4, 8, 4, 8])
    assert set(draws) == {5.0, 5.5, 6.0}
    counts = st.seed_counts(2, 2000, 0)
    np.testing.assert_allclose(draws, (5 * counts[:, 0] + 6 * counts[:, 1]) / 2)


def test_a_perfect_strategy_is_as_certain_as_it_has_groups():
    perfect, groups = np.ones((2, 100)), np.repeat(np.arange(20), 5)
    assert st.mean_interval(perfect, np.ones(10), groups) == st.wilson(20, 20)
    perfect[:, 50:] = np.nan
    assert st.mean_interval(perfect, np.ones(10), groups) == st.wilson(10, 10)
    assert st.mean_interval(0 * perfect, np.zeros(10)) == st.wilson(0, 50)
    assert st.mean_interval(0.5 * perfect, np.full(10, 0.5)) == (0.5, 0.5)
