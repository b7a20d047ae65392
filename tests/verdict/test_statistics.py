"""Textbook tests against independent references and hand-worked cases."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from headstart.verdict import statistics as st


def test_wilson_takes_an_effective_number_of_images():
    low, high = st.wilson(80, 100)
    reference = binomtest(80, 100).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high))
    wider = st.wilson(0.8 * 49.5, 49.5)
    assert wider[0] < low < high < wider[1]
    assert st.wilson(7.5, 7.5)[1] == 1.0


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1, then made non-decreasing.
    assert st.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert st.holm([]) == []


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_that_of_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.3, 3, 7).round(2)
    assert st.holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1])


def test_the_levels_of_holm_by_hand():
    """0.01 is rejected at 0.05 / 3, 0.03 is not at 0.05 / 2, which then holds for 0.04 as well."""
    assert st.holm_levels([0.04, 0.01, 0.03], 0.05) == pytest.approx([0.025, 0.05 / 3, 0.025])
    assert st.holm_levels([], 0.05) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_level_is_reached_exactly_where_the_adjusted_p_is(seed):
    p = np.random.default_rng(seed).beta(0.3, 3, 6)
    adjusted, levels = st.holm(list(p)), st.holm_levels(list(p), 0.05)
    assert [x <= 0.05 for x in adjusted] == [x <= y for x, y in zip(p, levels, strict=True)]


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
