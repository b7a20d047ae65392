"""Textbook intervals and tests that need no component of variance."""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927).

    `trials` is above 0 and may be an effective number: that of independent images which would
    make the proportion as uncertain as it is (Korn & Graubard 1998). Rounding never leaves the
    proportion itself outside.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, trials, alpha=1 - CONFIDENCE, method="wilson")
    share = successes / trials
    return min(max(float(low), 0.0), share), max(min(float(high), 1.0), share)


def is_binary(scores: np.ndarray) -> bool:
    """Whether every score that is not nan is 1 or 0."""
    return bool(np.isin(scores[~np.isnan(scores)], (0, 1)).all())


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for being many (Holm 1979)."""
    p = np.array(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(adjusted) for adjusted in p]


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """The level at which Holm's procedure tests each hypothesis.

    It divides alpha by the number of hypotheses not yet rejected, the smallest p first, and stops
    at the first that it cannot reject: those left are held to that last level. An interval at
    1 − level leaves out the hypothesis exactly where the adjusted p is at most alpha.
    """
    left, stopped = len(p_values), False
    levels = [0.0] * left
    for index in np.argsort(p_values, kind="stable"):
        levels[index] = alpha / left
        stopped = stopped or p_values[index] > alpha / left
        left -= 0 if stopped else 1
    return levels


def mcnemar(a: np.ndarray, b: np.ndarray) -> tuple[int, int, float]:
    """Exact test of two classifiers on the same images (McNemar 1947).

    It takes the images as independent, whatever their groups.

    Args:
        a, b: bool (n,), whether each image was classified correctly.

    Returns:
        The images only a got right, those only b got right, and the two-sided binomial p.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    table = [[int(np.sum(a & b)), only_a], [only_b, int(np.sum(~a & ~b))]]
    return only_a, only_b, min(1.0, float(exact_test(table, exact=True).pvalue))
