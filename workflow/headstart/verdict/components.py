"""What an estimate's uncertainty is made of: test images, seeds, and how the two interact.

Every seed of a strategy is tested on the same images, so images and seeds are crossed, and the
variance of a mean over both is a sum of their components (Searle, Casella & McCulloch 1992,
"Variance components", chapter 4). Here x[s, i] is what seed s scored on image i, D its means over
seeds, R those over images, m the mean of all, and

- A, `images`: the variance of m as the images alone show it;
- Q: the variance of m as the seeds alone show it, var(R) / S;
- N, `interaction`: the share of both that is neither's own, but of an image under a seed.

The half-width joins two quantiles of Student's t, one with the images' and one with the seeds'
degrees of freedom (Banerjee 1960, "On confidence interval for two-means problem based on separate
estimates of variances and tabulated values of t-table", Sankhya 22): conservative by design, where
Satterthwaite's single t falls short at two and three seeds. The seeds of two strategies are drawn
apart, so that theirs are Welch's degrees of freedom (1947), up to twice those of one.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

SMALLEST_P = 1e-12


@dataclass(frozen=True)
class Seeds:
    """The variance of a mean as its seeds show it.

    Attributes:
        variance: Q.
        freedom: its degrees of freedom, one less than the seeds.
        interaction: N; infinite where each seed has images of its own.
    """

    variance: float
    freedom: int
    interaction: float

    def scaled(self, count: int) -> "Seeds":
        """As it would be with `count` seeds."""
        factor = (self.freedom + 1) / count
        own = max(self.variance - self.interaction, 0.0)
        interaction = factor * self.interaction
        return Seeds(factor * own + interaction, count - 1, interaction)


@dataclass(frozen=True)
class Components:
    """An estimate and the components of its variance.

    Attributes:
        value: the estimate, m.
        clusters: independent images, or groups of them, that it rests on.
        images: A.
        seeds: one entry for each strategy that has several; none where a single model, or a
            deterministic strategy, is all there is.
    """

    value: float
    clusters: int
    images: float
    seeds: tuple[Seeds, ...] = ()

    @property
    def interaction(self) -> float:
        """N."""
        return sum(one.interaction for one in self.seeds)

    @property
    def of_seeds(self) -> float:
        """Q of all strategies together."""
        return sum(one.variance for one in self.seeds)

    @property
    def freedom(self) -> float:
        """Welch's degrees of freedom of the seeds, at least 1."""
        parts = sum(one.variance**2 / one.freedom for one in self.seeds)
        return max(self.of_seeds**2 / parts, 1.0) if parts else 1.0

    def half_width(self, alpha: float) -> float:
        """Half the width of the interval at level 1 − alpha."""
        square = quantile(alpha, self.clusters - 1) ** 2
        rest = max(self.images - self.interaction, 0.0)
        seeds = quantile(alpha, self.freedom) ** 2 * self.of_seeds
        return math.sqrt(max(square * self.images, square * rest + seeds))

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two-sided interval at level 1 − alpha."""
        half = self.half_width(alpha)
        return self.value - half, self.value + half

    def p(self, distance: float) -> float:
        """The alpha at which the half-width equals |distance|: p of "that far off by chance"."""
        far = abs(distance)
        if far <= self.half_width(1.0):
            return 1.0
        if far >= self.half_width(SMALLEST_P):
            return SMALLEST_P
        gap = brentq(lambda log: self.half_width(math.exp(log)) - far, math.log(SMALLEST_P), 0)
        return float(math.exp(gap))


def quantile(alpha: float, freedom: float) -> float:
    """Student's t that is exceeded either way with probability alpha, in (0, 1]."""
    return float(-stdtrit(max(freedom, 1), alpha / 2))


def by_cluster(rows: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sums of scores and counts of images by group, each float (S, G).

    Args:
        rows: float (S, n), nan where a row does not test an image.
        groups: int (n,), the group of each image; None: every image stands alone.
    """
    tested = ~np.isnan(rows)
    values, counts = np.where(tested, rows, 0.0), tested.astype(float)
    if groups is None:
        return values, counts
    _, group = np.unique(groups, return_inverse=True)
    return tuple(np.array([np.bincount(group, row) for row in x]) for x in (values, counts))  # type: ignore[return-value]


def image_scores(rows: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """D, float (G,): each cluster's mean score, so that their mean is that of all tested images.

    Clusters of several sizes enter by linearisation of the ratio of sums (Cochran 1977, "Sampling
    techniques", section 9A.3). A cluster that no row tests scores the mean.
    """
    sums, counts = by_cluster(rows, groups)
    return _linearised(sums.sum(axis=0), counts.sum(axis=0))


def are_anew(rows: np.ndarray) -> bool:
    """Whether rows test images of their own, because the split was drawn anew for each seed."""
    tested = ~np.isnan(rows)
    return bool((tested != tested[0]).any())


def seed_components(
    rows: np.ndarray, groups: np.ndarray | None, overlap: float = 0.0
) -> tuple[Seeds, ...]:
    """Q and N of rows that are replicates, each of one seed; none for a single row.

    Rows that do not all test the same images come from splits drawn anew for each seed. Their
    training sets overlap, for which 1/S + overlap stands in the place of 1/S (Nadeau & Bengio 2003,
    "Inference for the generalization error"); each has images of its own, so that var(R) holds the
    images' share already.

    Args:
        rows: float (S, n), nan where a row does not test an image.
        groups: int (n,) or None.
        overlap: test images per training image.
    """
    count = len(rows)
    if count == 1:
        return ()
    means = np.nanmean(rows, axis=1)
    spread = float(means.var(ddof=1))
    if are_anew(rows):
        return (Seeds(spread * (1 / count + overlap), count - 1, math.inf),)
    sums, counts = by_cluster(rows, groups)
    scores = np.array([_linearised(row, counts[0]) for row in sums])[:, counts[0] > 0]
    clusters = scores.shape[1]
    rest = scores - scores.mean(axis=0) - means[:, None] + means.mean()
    freedom = max(clusters - 1, 1) * (count - 1)
    interaction = float((rest**2).sum()) / (freedom * clusters * count)
    return (Seeds(spread / count, count - 1, interaction),)


def discordance_variance(scores: np.ndarray, quantum: float) -> float:
    """A of a difference: the variance of the mean of D, with half a discordant image each way.

    Without them a few images that all speak one way look surer than they are, and two strategies
    without a mistake would differ by nothing for certain (Agresti & Min 2005, "Simple improved
    confidence intervals for comparing matched proportions").

    Args:
        scores: float (G,), D.
        quantum: mean square of what one image can move D by; 1 for right or wrong, 0 where scores
            are continuous and need no such image.
    """
    if quantum == 0:
        return float(scores.var(ddof=1)) / len(scores)
    more = len(scores) + 2
    return float(((scores**2).sum() + quantum) / more - (scores.sum() / more) ** 2) / more


def _linearised(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    mean = sums.sum() / counts.sum()
    return mean + (sums - mean * counts) * len(sums) / counts.sum()
