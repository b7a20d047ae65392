"""How likely each strategy is the best, and how much luck is in the mean of the one that leads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.verdict.components import seed_components
from headstart.verdict.inference import image_means
from headstart.verdict.scores import Key, Study

_DRAWS = 20_000


@dataclass(frozen=True)
class Chances:
    """Of the cells in the order given.

    Attributes:
        best: the probability that each has the highest true mean.
        optimism: by how much the leader's mean exceeds its true mean on average, because it leads
            by that very mean; in the metric's own unit.
    """

    best: tuple[float, ...]
    optimism: float


def chances(study: Study, keys: Sequence[Key]) -> Chances:
    """From normal draws with the joint covariance of the cells' means.

    Images are shared, so that their part is correlated between cells; seeds add to the diagonal.
    For the optimism, means are first drawn together by as much as chance alone sets them apart
    (Efron & Morris 1973, "Stein's estimation rule and its competitors"): those of equal strategies
    differ too.
    """
    value, covariance = image_means(study, keys).mean(axis=1), joint_covariance(study, keys)
    errors = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(keys)), covariance, _DRAWS, method="eigh"
    )
    winners = (value + errors).argmax(axis=1)
    share = np.bincount(winners, minlength=len(keys)) / _DRAWS
    winners = (_drawn_together(value, covariance) + errors).argmax(axis=1)
    luck = errors[np.arange(_DRAWS), winners].mean() if len(keys) > 1 else 0.0
    return Chances(tuple(map(float, share)), float(max(luck, 0.0)))


def joint_covariance(study: Study, keys: Sequence[Key]) -> np.ndarray:
    """Covariance of the cells' means, float (cells, cells)."""
    means = image_means(study, keys)
    covariance: np.ndarray = np.atleast_2d(np.cov(means, ddof=0)) / means.shape[1]
    covariance[np.diag_indices(len(keys))] += [_of_seeds(study, key) for key in keys]
    return covariance


def _of_seeds(study: Study, key: Key) -> float:
    """What seeds add to the variance of a mean that its images do not show."""
    found = seed_components(study.cells[key].replicates, study.groups, study.overlap)
    return sum(max(one.variance - min(one.interaction, one.variance), 0.0) for one in found)


def _drawn_together(value: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The means, shrunk to their mean by the share of their spread that chance explains."""
    count = len(value)
    spread = ((value - value.mean()) ** 2).sum()
    chance = np.trace(covariance) - covariance.sum() / count
    kept = max(1 - chance / spread, 0.0) if spread > 0 else 0.0
    return value.mean() + kept * (value - value.mean())
