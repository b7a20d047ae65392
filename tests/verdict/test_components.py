"""Components of variance against hand-worked cases, analysis of variance and scipy."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from headstart.verdict import components as co


def crossed(seeds=3, n=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) + 0.3 * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, n))


def test_by_hand():
    """Two seeds on three images: means of images 1, 0, 0; of seeds 2/3, 0; of all 1/3."""
    rows = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]])
    scores = co.image_scores(rows, None)
    assert scores == pytest.approx([1, 0, 0])
    # (1 + 1) / 5 − (1 / 5)², over 5
    assert co.discordance_variance(scores, 1.0) == pytest.approx((2 / 5 - 1 / 25) / 5)
    (seeds,) = co.seed_components(rows, None)
    # var(2/3, 0) = 2/9 over 2; what is left of each cell is −1/3, 2/3, −1/3 and the opposite
    assert (seeds.variance, seeds.freedom) == (pytest.approx(1 / 9), 1)
    assert seeds.interaction == pytest.approx(2 * (6 / 9) / (2 * 1 * 3 * 2))


def test_they_are_those_of_a_two_way_analysis_of_variance():
    rows = crossed()
    count, n = rows.shape
    table = pd.DataFrame(
        {"x": rows.ravel(), "s": np.repeat(range(count), n), "i": np.tile(range(n), count)}
    )
    squares = anova_lm(ols("x ~ C(s) + C(i)", table).fit())
    mean_square = squares["sum_sq"] / squares["df"]
    (seeds,) = co.seed_components(rows, None)
    assert seeds.variance == pytest.approx(mean_square["C(s)"] / rows.size)
    assert seeds.interaction == pytest.approx(mean_square["Residual"] / rows.size)
    scores = co.image_scores(rows, None)
    assert scores.var(ddof=1) / n == pytest.approx(mean_square["C(i)"] / rows.size)


def test_a_single_row_has_the_t_interval_of_its_images():
    row = crossed(1, 50)[0]
    found = co.Components(row.mean(), 50, row.var(ddof=1) / 50)
    reference = stats.ttest_1samp(row, 0)
    assert found.interval(0.05) == pytest.approx(tuple(reference.confidence_interval()))
    assert found.p(found.value) == pytest.approx(reference.pvalue)


def test_seeds_alone_have_the_t_interval_of_their_means():
    """Images that all answer alike leave the seeds' own spread."""
    rows = np.repeat([[0.1], [0.4], [0.3]], 7, axis=1)
    found = co.Components(rows.mean(), 7, 0.0, co.seed_components(rows, None))
    reference = stats.ttest_1samp(rows[:, 0], 0)
    assert found.interval(0.1) == pytest.approx(tuple(reference.confidence_interval(0.9)))
    assert found.p(found.value) == pytest.approx(reference.pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_p_is_the_level_whose_interval_ends_at_zero(seed):
    rows = 0.7 + crossed(4, 30, seed)
    images = co.discordance_variance(co.image_scores(rows, None), 1.0)
    found = co.Components(rows.mean(), 30, images, co.seed_components(rows, None))
    low, _ = found.interval(found.p(found.value))
    assert low == pytest.approx(0, abs=1e-9)
    assert found.p(0) == 1.0 and found.p(1e9) == co.SMALLEST_P


def test_quantiles_reach_far_into_the_tail():
    for freedom in (1, 2, 655):
        for alpha in (1e-12, 1e-4, 0.05, 1.0):
            expected = stats.t.isf(alpha / 2, freedom)
            assert co.quantile(alpha, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_copies_of_images_in_groups_are_single_images():
    rows, order = crossed(3, 12), np.random.default_rng(1).permutation(36)
    copies, groups = np.repeat(rows, 3, axis=1)[:, order], np.repeat(np.arange(12), 3)[order]
    assert co.image_scores(copies, groups) == pytest.approx(co.image_scores(rows, None))
    (one,), (other,) = co.seed_components(rows, None), co.seed_components(copies, groups)
    assert (one.variance, one.interaction) == pytest.approx((other.variance, other.interaction))


def test_groups_of_several_sizes_have_the_error_of_a_ratio():
    """Against the jackknife over groups (Cochran 1977), to which linearisation is close."""
    rng = np.random.default_rng(2)
    groups = np.sort(rng.choice(200, 600))
    row = (rng.random(200)[groups] < 0.8) * 1.0
    scores = co.image_scores(row[None], groups)
    assert scores.mean() == pytest.approx(row.mean())
    labels = np.unique(groups)
    left = np.array([row[groups != label].mean() for label in labels])
    jackknife = (len(labels) - 1) / len(labels) * ((left - left.mean()) ** 2).sum()
    assert scores.var(ddof=1) / len(scores) == pytest.approx(jackknife, rel=0.05)


def test_splits_drawn_anew_widen_by_the_overlap_of_their_training_sets():
    """Nadeau and Bengio's corrected resampled t statistic, by its formula."""
    rng = np.random.default_rng(3)
    rows = rng.normal(0.2, 1, (5, 100))
    for row in rows:
        row[rng.permutation(100)[:80]] = np.nan
    means = np.nanmean(rows, axis=1)
    (seeds,) = co.seed_components(rows, None, overlap=20 / 80)
    assert seeds.variance == pytest.approx((1 / 5 + 0.25) * means.var(ddof=1))
    assert seeds.freedom == 4 and math.isinf(seeds.interaction)
    found = co.Components(means.mean(), 100, 0.0, (seeds,))
    t = means.mean() / math.sqrt(seeds.variance)
    assert found.p(found.value) == pytest.approx(2 * stats.t.sf(abs(t), 4))
