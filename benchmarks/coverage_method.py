"""The verdict's interval, p value and mean of right answers, bool (seeds, n), as functions.

For simulations that hold any method to its nominal level; coverage.py is one.
"""

import numpy as np

from headstart.verdict import inference
from headstart.verdict.scores import Scores, Study


def difference_interval(right_a: np.ndarray, right_b: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a − b; row s of both belongs to one seed."""
    return _difference(right_a, right_b).interval(inference.ALPHA)


def difference_p(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """The two-sided p of "no difference"."""
    found = _difference(right_a, right_b)
    return found.p(found.value)


def mean_interval(right: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a strategy's mean accuracy."""
    mean = inference.mean(study(right), ("0", 1.0))
    return mean.low, mean.high


def study(*strategies: np.ndarray) -> Study:
    """Strategies "0", "1", … of one split, each bool (seeds, n)."""
    cells = {
        (str(k), 1.0): Scores(tuple((0, s) for s in range(len(right))), right.astype(float))
        for k, right in enumerate(strategies)
    }
    return Study(tuple(map(str, range(strategies[0].shape[1]))), cells)


def _difference(right_a: np.ndarray, right_b: np.ndarray) -> inference.Components:
    return inference.difference(study(right_a, right_b), ("0", 1.0), ("1", 1.0)).components
