"""Intervals and tests for accuracies that share test images and seeds.

Two things vary when an experiment is repeated: the images that happened to be tested and the
seed that happened to be trained (Bouthillier et al. 2021, "Accounting for variance in machine
learning benchmarks"). The bootstrap here resamples both. Every seed is tested on the same
images, so one draw of images serves all seeds and all strategies: the layers are crossed
(Owen 2007, "The pigeonhole bootstrap"), which keeps the pairing that makes differences sharp.
Drawing images afresh for each seed would understate the share of the interval that more seeds
cannot shrink.
"""

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
_CHUNK_BYTES = 32 * 2**20


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927). `trials` is at least 1.

    Rounding never leaves the proportion itself outside.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, trials, alpha=1 - CONFIDENCE, method="wilson")
    share = successes / trials
    return min(float(low), share), max(float(high), share)


def percentile_interval(draws: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of bootstrap draws (Efron & Tibshirani 1993, chapter 13)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(right: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a strategy's mean accuracy.

    It is the bootstrap's, save where no run made a mistake, or every run only mistakes: there
    no draw differs from another, and the Wilson interval for these images stands in.

    Args:
        right: bool (seeds, n), what each seed's run answered correctly.
        draws: of the mean accuracy, from `bootstrap_mean`.
    """
    if right.all() or not right.any():
        return wilson(int(right[0].sum()), right.shape[1])
    return percentile_interval(draws)


def image_bootstrap(correct: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Accuracy of every run under resampled test images, the same draw for all runs.

    Args:
        correct: bool (runs, n), one row per run, one column per test image.
        resamples: number of draws.
        seed: of the draws; equal seeds and n give equal draws, whatever the runs.

    Returns:
        float64 (resamples, runs). Memory is bounded, whatever n.
    """
    rng = np.random.default_rng(seed)
    runs, n = correct.shape
    columns = correct.T.astype(np.float32)
    accuracies = np.empty((resamples, runs))
    chunk = max(1, _CHUNK_BYTES // (8 * n))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = rng.integers(n, size=(rows, n))
        drawn += n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        accuracies[start : start + rows] = counts.astype(np.float32) @ columns
    return accuracies / n


def seed_counts(seeds: int, resamples: int, seed: int, stream: int = 0) -> np.ndarray:
    """How often each seed is drawn: int (resamples, seeds), every row sums to `seeds`.

    Equal `seeds`, `seed` and `stream` give equal draws, so strategies with the same seeds stay
    paired. With a single seed nothing varies: the interval then covers the images alone.
    """
    rng = np.random.default_rng([seed, stream, seeds])
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)


def bootstrap_mean(accuracies: np.ndarray, seed: int, stream: int = 0) -> np.ndarray:
    """Draws of a mean accuracy over resampled seeds and images (Field & Welsh 2007).

    In simulations with 656 images and two to five seeds, 95 % intervals covered 94 to 99 % where
    seeds move accuracy by a point or less. Two seeds that move it by two points are too few (82 %
    for a difference), and a single one does not see them at all (88 % even where they move little).

    Args:
        accuracies: float (resamples, seeds) from `image_bootstrap`, or a difference of two.
        seed: of the seed draws.
        stream: tells apart draws that must not be shared.
    """
    resamples, seeds = accuracies.shape
    return (accuracies * seed_counts(seeds, resamples, seed, stream)).sum(axis=1) / seeds


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p of "no difference": twice the smaller share of draws on one side of 0.

    A draw of exactly 0 counts for both sides, and one draw is added to each, so that p is never
    0 (Davison & Hinkley 1997, section 4.2).
    """
    tolerance = 1e-12
    sides = np.sum(differences <= tolerance), np.sum(differences >= -tolerance)
    return float(min(1.0, 2 * (min(sides) + 1) / (len(differences) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for being many (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return []
    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]


def mcnemar(a: np.ndarray, b: np.ndarray) -> tuple[int, int, float]:
    """Exact test of two classifiers on the same images (McNemar 1947).

    Args:
        a, b: bool (n,), whether each image was classified correctly.

    Returns:
        The images only a got right, those only b got right, and the two-sided binomial p.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    table = [[int(np.sum(a & b)), only_a], [only_b, int(np.sum(~a & ~b))]]
    return only_a, only_b, min(1.0, float(exact_test(table, exact=True).pvalue))
