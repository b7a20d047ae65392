"""Estimates of a study: means and differences with the components of their uncertainty.

Methods and sources stand in `headstart.verdict.components` and `headstart.verdict.statistics`.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headstart.verdict.components import (
    Components,
    are_anew,
    discordance_variance,
    image_scores,
    quantile,
    seed_components,
)
from headstart.verdict.scores import Key, Run, Scores, Study
from headstart.verdict.statistics import CONFIDENCE, is_binary, mcnemar, wilson

ALPHA = 1 - CONFIDENCE


@dataclass(frozen=True)
class Mean:
    """The mean metric of a cell over its runs, with its 95 % interval; losses without their minus.

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
    """The mean metric of cell a minus that of cell b; both over all their runs.

    Attributes:
        components: of its uncertainty.
        about_models: whether one of the two is a single trained model, so that nothing is said of
            how its strategy would fare with another seed.
        mcnemar: a test per run that both have; empty unless the scores are right-or-wrong.
    """

    a: Key
    b: Key
    components: Components
    about_models: bool
    mcnemar: tuple[McNemar, ...]

    @property
    def value(self) -> float:
        return self.components.value


def mean(study: Study, key: Key) -> Mean:
    """The mean of one cell over the images and runs that it has.

    Wilson's form for what lies between 0 and 1, with the number of independent images that would
    leave the mean as uncertain as its components do, at most one or two for each image: one for
    a single model, two for several seeds.
    """
    cell = study.cells[key]
    rows = cell.replicates
    scores = _clusters(study, [rows])[0]
    value, n = float(scores.mean()), len(scores)
    seeds = seed_components(rows, study.groups, study.overlap)
    found = Components(value, n, float(scores.var(ddof=0 if study.bounded else 1)) / n, seeds)
    proportions = tuple(_proportions(cell)) if is_binary(cell.values) else ()
    if not study.bounded:
        low, high = found.interval(ALPHA)
        return Mean(key, -value, -high, -low, proportions)
    low, high = _wilson_form(found, n * min(len(rows), 2) / study.quantum)
    return Mean(key, value, low, high, proportions)


def ranked(study: Study, fraction: float) -> list[Key]:
    """The cells of one fraction, the best mean first; equals stay in the order of the study."""
    keys = [key for key in study.cells if key[1] == fraction]
    return sorted(keys, key=lambda key: -np.nanmean(study.cells[key].replicates))


def differences(study: Study, keys: Sequence[Key]) -> list[Difference]:
    """Every pair of cells, the earlier one first."""
    return [difference(study, a, b) for a, b in itertools.combinations(keys, 2)]


def difference(study: Study, a: Key, b: Key) -> Difference:
    """Cell a minus cell b.

    The images are paired, and the seeds of each add their own variance: what a seed does to one
    strategy says next to nothing of what it does to another. Where every seed has a split and so
    images of its own, the runs are paired instead.
    """
    one, two = study.cells[a], study.cells[b]
    if set(one.runs) == set(two.runs) and are_anew(one.replicates):
        others = two.values[two.rows(one.runs)]
        replicates = [replace(one, values=one.values - others).replicates]
    else:
        replicates = [one.replicates, two.replicates]
    components = _difference_components(study, (one, two), replicates)
    if study.groups is None and len(one.replicates) == len(two.replicates) == 1:
        components = _as_cautious_as_mcnemar(components, one.replicates[0], two.replicates[0])
    tests = tuple(_mcnemar(one, two))
    return Difference(a, b, components, one.single or two.single, tests)


def beside_majority(study: Study, key: Key) -> Study | None:
    """A cell and, as the strategy "", the answer "the most common class" on the same images."""
    if study.majority is None:
        return None
    return replace(study, cells={key: study.cells[key], ("", key[1]): study.majority})


def image_means(study: Study, keys: Sequence[Key]) -> np.ndarray:
    """The mean score of each cluster of images that any of the cells tests, float (cells, G)."""
    return np.array(_clusters(study, [study.cells[key].replicates for key in keys]))


def _clusters(study: Study, replicates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The mean score of each cluster that any of the cells tests, one float (G,) per cell."""
    tested = np.any([~np.isnan(rows).all(axis=0) for rows in replicates], axis=0)
    groups = None if study.groups is None else study.groups[tested]
    return [image_scores(rows[:, tested], groups) for rows in replicates]


def _difference_components(
    study: Study, cells: tuple[Scores, Scores], replicates: Sequence[np.ndarray]
) -> Components:
    """Components of a difference from the rows of paired runs, or from those of either cell."""
    one, two = _clusters(study, [cell.replicates for cell in cells])
    scores = one - two
    seeds = [seed_components(rows, study.groups, study.overlap) for rows in replicates]
    return Components(
        float(scores.mean()),
        len(scores),
        discordance_variance(scores, study.quantum),
        tuple(itertools.chain.from_iterable(seeds)),
    )


def _as_cautious_as_mcnemar(components: Components, a: np.ndarray, b: np.ndarray) -> Components:
    """The images' variance raised until the interval agrees with the exact test of two models."""
    if not (is_binary(a) and is_binary(b)):
        return components
    _, _, p = mcnemar(a == 1, b == 1)
    if p >= 1 or components.p(components.value) >= p:
        return components
    error = components.value / quantile(p, components.clusters - 1)
    return replace(components, images=error**2)


def _wilson_form(mean: Components, most: float) -> tuple[float, float]:
    """Wilson's interval with an effective number of images, at most `most`."""
    binomial = max(mean.value * (1 - mean.value), 0.0)
    square = (mean.half_width(ALPHA) / quantile(ALPHA, mean.clusters - 1)) ** 2
    effective = min(binomial / square, most) if square > 0 else most
    return wilson(mean.value * effective, effective)


def _proportions(cell: Scores) -> Iterable[tuple[float, float]]:
    for row in cell.values:
        scores = row[~np.isnan(row)]
        yield wilson(int(scores.sum()), len(scores))


def _mcnemar(one: Scores, two: Scores) -> Iterable[McNemar]:
    """A test per run that both have, if the scores are right-or-wrong.

    A deterministic cell has every run of its splits. An image that a run does not test is wrong
    for both cells, which the test ignores.
    """
    if not (is_binary(one.values) and is_binary(two.values)):
        return
    leading, other = (two, one) if one.deterministic and not two.deterministic else (one, two)
    seen: set[int] = set()
    for run in leading.runs:
        if leading.deterministic and run[0] in seen:
            continue
        seen.add(run[0])
        if (partner := _partner(other, run)) is not None:
            a, b = leading.values[leading.runs.index(run)], other.values[partner]
            a, b = (a, b) if leading is one else (b, a)
            yield McNemar(run, *mcnemar(a == 1, b == 1))


def _partner(cell: Scores, run: Run) -> int | None:
    """The row of the same split and seed, or of any seed where these are all alike."""
    rows = [
        row
        for row, (split, seed) in enumerate(cell.runs)
        if split == run[0] and (cell.deterministic or seed == run[1])
    ]
    return rows[0] if rows else None
