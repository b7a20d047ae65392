"""Chances of being the best, against closed forms and simulation."""

import numpy as np
import pytest
from scipy.stats import norm

from headstart.verdict import inference
from headstart.verdict.chances import chances


def test_of_two_models_it_is_that_of_the_z_test(answers, make_study):
    a, b = answers(0.80, 0, 800), answers(0.78, 1, 800)
    study = make_study(a=([0], [a]), b=([0], [b]))
    gap = a.astype(int) - b.astype(int)
    found = chances(study, [("a", 1.0), ("b", 1.0)])
    assert found.best[0] == pytest.approx(
        norm.cdf(gap.mean() / (gap.std() / np.sqrt(800))), abs=0.01
    )
    assert sum(found.best) == pytest.approx(1)


def test_a_clear_leader_owes_nothing_to_luck(answers, make_study):
    study = make_study(a=([0], [answers(0.95, 0)]), b=([0], [answers(0.5, 1)]))
    found = chances(study, [("a", 1.0), ("b", 1.0)])
    assert found.best[0] > 0.999 and found.optimism == pytest.approx(0, abs=3e-4)


def test_the_optimism_of_equal_strategies_is_that_of_the_largest_of_several(answers, make_study):
    """Four equal, independent strategies: 1.03 standard errors in truth (David & Nagaraja 2003)."""
    told, truth = [], []
    for study_seed in range(60):
        rows = {
            name: ([0], [answers(0.9, 10 * study_seed + k, 500)]) for k, name in enumerate("abcd")
        }
        study = make_study(**rows)
        keys = inference.ranked(study, 1.0)
        told.append(chances(study, keys).optimism)
        truth.append(inference.mean(study, keys[0]).value - 0.9)
    error = np.sqrt(0.9 * 0.1 / 500)
    assert np.mean(truth) == pytest.approx(1.03 * error, abs=0.2 * error)
    assert np.mean(told) == pytest.approx(np.mean(truth), rel=0.25)
