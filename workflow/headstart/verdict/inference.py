"""Estimates of a study: means and differences with their intervals, tests, the Holm correction.

Every estimate takes the draws of one `Resampled`, so that all strategies share them; methods and
sources stand in `headstart.verdict.statistics`.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.verdict.scores import Key, Run, Scores, Study
from headstart.verdict.statistics import (
    bootstrap_mean,
    bootstrap_p,
    holm,
    image_bootstrap,
    is_binary,
    mcnemar,
    mean_interval,
    percentile_interval,
    wilson,
)

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Draws:
    """The runs of one cell under resampled groups of images.

    Attributes:
        metrics: float (resamples, runs), nan where a draw holds none of a run's images.
        shares: float (resamples, runs), the share of the drawn images that each run tests.
    """

    metrics: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class Resampled:
    """A study and the draws of its cells, the same groups of images for all of them.

    Attributes:
        seed: of the draws, of images and of seeds.
    """

    study: Study
    draws: dict[Key, Draws]
    seed: int


@dataclass(frozen=True)
class Mean:
    """The mean metric of a cell over its runs, with its 95 % interval.

    Attributes:
        wilson: the interval of each run's proportion, in the order of the runs; empty unless the
            scores are right-or-wrong.
    """

    key: Key
    value: float
    low: float
    high: float
    wilson: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class McNemar:
    """The exact test of two cells' answers in one run: images only a or only b got right."""

    run: Run
    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class Difference:
    """The mean metric of cell a minus that of cell b, with its 95 % interval.

    Attributes:
        p: of "no difference", from the resampled.
        p_holm: p adjusted for all pairs compared; p itself where this is the only one.
        mcnemar: a test per run that both have; empty unless the scores are right-or-wrong.
    """

    a: Key
    b: Key
    value: float
    low: float
    high: float
    p: float
    p_holm: float
    mcnemar: tuple[McNemar, ...]

    @property
    def distinguishable(self) -> bool:
        """Whether the adjusted p is below 0.05 and the interval excludes 0."""
        return self.p_holm < SIGNIFICANCE and (self.low > 0 or self.high < 0)


def resample(study: Study, resamples: int = 10_000, seed: int = 0) -> Resampled:
    """Draw the groups of images that all estimates of a study share."""
    values = np.vstack([cell.values for cell in study.cells.values()])
    rows = np.vstack([values, ~np.isnan(values)])
    drawn = image_bootstrap(rows, resamples, seed, study.groups)
    ends = np.cumsum([len(cell.runs) for cell in study.cells.values()])
    metrics = np.split(drawn[:, : len(values)], ends[:-1], axis=1)
    shares = np.split(drawn[:, len(values) :], ends[:-1], axis=1)
    draws = map(Draws, metrics, shares)
    return Resampled(study, dict(zip(study.cells, draws, strict=True)), seed)


def mean(resampled: Resampled, key: Key) -> Mean:
    """The mean of one cell over the images and runs that it has."""
    cell = resampled.study.cells[key]
    draws = _mean_draws(resampled, key)
    low, high = mean_interval(cell.values, draws, resampled.study.groups)
    proportions = tuple(_proportions(cell)) if is_binary(cell.values) else ()
    return Mean(key, float(np.nanmean(cell.values)), low, high, proportions)


def ranked(study: Study, fraction: float) -> list[Key]:
    """The cells of one fraction, the best mean first; equals stay in the order of the study."""
    keys = [key for key in study.cells if key[1] == fraction]
    return sorted(keys, key=lambda key: -np.nanmean(study.cells[key].values))


def differences(resampled: Resampled, keys: Sequence[Key]) -> list[Difference]:
    """Every pair of cells, the earlier one first, their p values adjusted together (Holm)."""
    pairs = [difference(resampled, a, b) for a, b in itertools.combinations(keys, 2)]
    adjusted = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=True)]


def difference(resampled: Resampled, a: Key, b: Key) -> Difference:
    """Cell a minus cell b over the runs, pairs of split and seed, that both have.

    Where they share none, seeds are drawn independently and only the images stay paired.
    """
    one, two = resampled.study.cells[a], resampled.study.cells[b]
    common = sorted(set(one.runs) & set(two.runs))
    if common:
        mine, others = one.values[one.rows(common)], two.values[two.rows(common)]
        draws = _paired_draws(resampled, a, b, common)
    else:
        mine, others = one.values, two.values
        draws = _mean_draws(resampled, a, stream=1) - _mean_draws(resampled, b, stream=2)
    value = float(np.nanmean(mine) - np.nanmean(others))
    low, high = percentile_interval(draws)
    p = bootstrap_p(draws)
    return Difference(a, b, value, low, high, p, p, tuple(_mcnemar(one, two, common)))


def _mean_draws(resampled: Resampled, key: Key, stream: int = 0) -> np.ndarray:
    """Draws of a cell's mean, float (resamples,)."""
    draws, seeds = resampled.draws[key], resampled.study.cells[key].seeds
    return bootstrap_mean(draws.metrics, resampled.seed, stream, seeds, draws.shares)


def _paired_draws(resampled: Resampled, a: Key, b: Key, runs: Sequence[Run]) -> np.ndarray:
    """Draws of the difference of two cells over runs that both have, float (resamples,)."""
    cells = resampled.study.cells
    rows, others = cells[a].rows(runs), cells[b].rows(runs)
    one, two = resampled.draws[a], resampled.draws[b]
    gaps = one.metrics[:, rows] - two.metrics[:, others]
    seeds = [seed for _, seed in runs]
    return bootstrap_mean(gaps, resampled.seed, 0, seeds, one.shares[:, rows])


def _proportions(cell: Scores) -> Iterable[tuple[float, float]]:
    for row in cell.values:
        scores = row[~np.isnan(row)]
        yield wilson(int(scores.sum()), len(scores))


def _mcnemar(one: Scores, two: Scores, runs: Sequence[Run]) -> Iterable[McNemar]:
    """A test per run, if the scores are right-or-wrong.

    An image that a run does not test is wrong for both cells, which the test ignores.
    """
    if not (is_binary(one.values) and is_binary(two.values)):
        return
    for run, row, other in zip(runs, one.rows(runs), two.rows(runs), strict=True):
        yield McNemar(run, *mcnemar(one.values[row] == 1, two.values[other] == 1))
