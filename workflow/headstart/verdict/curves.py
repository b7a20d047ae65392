"""What several fractions say: the answer at each, where strategies cross, what more images give.

Fractions are shares of the training split; the test images are the same for all of them. The gain
expected from twice the training images is that of a power law, error = b f^-c, which learning
curves follow over wide ranges (Hestness et al. 2017, "Deep learning scaling is predictable,
empirically"; Viering & Loog 2022, "The shape of learning curves: a review").
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headstart.verdict import answers, inference, tables
from headstart.verdict.chances import joint_covariance
from headstart.verdict.scores import Key, Study

_DRAWS = 2000


@dataclass(frozen=True)
class Gain:
    """What twice the training images would add to the score, with its 95 % interval.

    Attributes:
        misfit: root mean square distance of the power law from the means, in the metric's unit.
    """

    value: float
    low: float
    high: float
    misfit: float


def learning_curve(study: Study, runs: pd.DataFrame, margin: float) -> dict | None:
    """The verdict of a study of several fractions, ready for verdict.json; None of a single one.

    The answers at each fraction are adjusted for its own pairs. Differences, slopes and gains are
    those of scores: positive is better, for losses too.

    Args:
        margin: in the metric's own unit.
    """
    fractions = sorted({fraction for _, fraction in study.cells})
    if len(fractions) == 1:
        return None
    names = list(dict.fromkeys(name for name, _ in study.cells))
    return {
        "fractions": [_at(study, fraction, runs, margin) for fraction in fractions],
        "crossovers": [
            found for a, b in itertools.combinations(names, 2) if (found := crossover(study, a, b))
        ],
        "growth": [found for name in names if (found := _growth(study, name))],
    }


def crossover(study: Study, a: str, b: str) -> dict | None:
    """The fraction at which the difference of two strategies changes its sign, with an interval.

    It is found on the straight line between neighbouring fractions on a log scale. The interval
    holds the fractions about it at which the line through the ends of the differences' 95 %
    intervals leaves the sign open; an end is None where that reaches beyond the fractions run.
    """
    fractions = sorted(set(_fractions(study, a)) & set(_fractions(study, b)))
    if len(fractions) < 2:
        return None
    pairs = [inference.difference(study, (a, f), (b, f)).components for f in fractions]
    bounds = np.array([pair.interval(inference.ALPHA) for pair in pairs])
    values = np.array([pair.value for pair in pairs])
    signs = np.sign(values)
    changes = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    if len(changes) != 1:
        return None
    place = int(changes[0])
    grid = np.linspace(0, len(fractions) - 1, 200 * (len(fractions) - 1) + 1)
    scale = np.interp(grid, range(len(fractions)), np.log(fractions))
    low, high = (np.interp(grid, range(len(fractions)), column) for column in bounds.T)
    undecided = (low <= 0) & (high >= 0)
    step = values[place] / (values[place] - values[place + 1])
    middle = int(round(200 * (place + step)))
    first, last = _stretch(undecided, middle)
    return {
        "a": a if values[-1] > 0 else b,
        "b": b if values[-1] > 0 else a,
        "fraction": float(np.exp(scale[middle])),
        "low": float(np.exp(scale[first])) if first > 0 else None,
        "high": float(np.exp(scale[last])) if last < len(grid) - 1 else None,
    }


def gain(study: Study, keys: list[Key]) -> Gain | None:
    """The gain of twice the images by a power law through at least three fractions of a strategy.

    Its interval comes from refits to normal draws of the means with their joint covariance. None
    where there are fewer fractions, or no mistakes to fit.
    """
    scores = inference.image_means(study, keys).mean(axis=1)
    errors = 1 - scores if study.bounded else -scores
    if len(keys) < 3 or errors.min() <= 0:
        return None
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(len(keys)), joint_covariance(study, keys), _DRAWS, method="eigh"
    )
    draws = np.clip(errors + noise, errors.min() / 10, None)
    logs = np.log([fraction for _, fraction in keys])
    slope, start = np.polyfit(logs, np.log(np.vstack([errors, draws]).T), 1)
    now, then = (np.exp(start + slope * (logs[-1] + more)) for more in (0, np.log(2)))
    gained = now - then
    low, high = np.quantile(gained[1:], [inference.ALPHA / 2, 1 - inference.ALPHA / 2])
    fitted = np.exp(start[0] + slope[0] * logs)
    misfit = float(np.sqrt(((fitted - errors) ** 2).mean()))
    return Gain(float(gained[0]), float(low), float(high), misfit)


def _at(study: Study, fraction: float, runs: pd.DataFrame, margin: float) -> dict:
    ranked = inference.ranked(study, fraction)
    found = answers.answers(inference.differences(study, ranked), margin)
    cells = {key[0]: study.cells[key] for key in ranked}
    seconds = tables.seconds(runs[runs["fraction"] == fraction])
    return {
        "fraction": fraction,
        "leader": ranked[0][0],
        "recommended": answers.recommended(found, cells, seconds),
        "comparisons": [
            {
                "a": one.difference.a[0],
                "b": one.difference.b[0],
                "answer": one.text,
                "difference": one.difference.value,
                "low": one.interval[0],
                "high": one.interval[1],
            }
            for one in found
        ],
    }


def _fractions(study: Study, name: str) -> list[float]:
    return sorted(fraction for other, fraction in study.cells if other == name)


def _growth(study: Study, name: str) -> dict | None:
    """The slope per doubling between the last two fractions, and the gain of one more doubling."""
    fractions = _fractions(study, name)
    if len(fractions) < 2:
        return None
    keys = [(name, fraction) for fraction in fractions]
    last = inference.difference(study, keys[-1], keys[-2]).components
    doublings = float(np.log2(fractions[-1] / fractions[-2]))
    low, high = last.interval(inference.ALPHA)
    expected = gain(study, keys)
    return {
        "strategy": name,
        "slope": last.value / doublings,
        "low": low / doublings,
        "high": high / doublings,
        "gain": None if expected is None else vars(expected),
    }


def _stretch(held: np.ndarray, middle: int) -> tuple[int, int]:
    """First and last index of the run of true values about the middle."""
    before, after = np.flatnonzero(~held[:middle]), np.flatnonzero(~held[middle:])
    first = int(before[-1]) + 1 if len(before) else 0
    last = middle + int(after[0]) - 1 if len(after) else len(held) - 1
    return min(first, middle), max(last, middle)
