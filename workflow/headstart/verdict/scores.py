"""What inference works on: how each run scored on each test image.

A score is any number whose mean over a run's test images is that run's metric. Right-or-wrong,
1.0 or 0.0, is the score of accuracy. A larger score is the better one, so that a loss takes a
minus.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.experiment.config import LOSSES

Key = tuple[str, float]
Run = tuple[int, int]


@dataclass(frozen=True)
class Scores:
    """The runs of one strategy and fraction.

    Attributes:
        runs: the split and the seed of each run.
        values: float (runs, n), a row per run and a column per image of the study; nan where the
            image is not among the run's test images, because another split tests it.
        deterministic: whether every seed gives the same model on a split, so that all its runs
            there count as one.
    """

    runs: tuple[Run, ...]
    values: np.ndarray
    deterministic: bool = False

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run; a seed stands once for each of its splits."""
        return tuple(seed for _, seed in self.runs)

    @property
    def splits(self) -> tuple[int, ...]:
        """The split of each run."""
        return tuple(split for split, _ in self.runs)

    @property
    def replicates(self) -> np.ndarray:
        """A row per seed, float (S, n): what it answers on all its splits together.

        The folds of a seed test different images and pool to one row. Deterministic runs make a
        single row.
        """
        seeds = np.zeros(len(self.runs)) if self.deterministic else np.array(self.seeds)
        return np.array([_mean(self.values[seeds == seed]) for seed in np.unique(seeds)])

    @property
    def single(self) -> bool:
        """Whether one trained model is all there is to speak for the strategy."""
        return not self.deterministic and len(set(self.seeds)) == 1

    def rows(self, runs: Sequence[Run]) -> list[int]:
        """The row of each of these runs."""
        return [self.runs.index(run) for run in runs]


def _mean(rows: np.ndarray) -> np.ndarray:
    """Means of the columns, float (n,), nan where no row has a number."""
    counts = (~np.isnan(rows)).sum(axis=0)
    sums = np.nansum(rows, axis=0)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


@dataclass(frozen=True)
class Study:
    """All runs of an experiment.

    Attributes:
        images: n image ids, the columns of every cell.
        cells: the scores by (strategy, fraction), in the order of the strategies.
        majority_floor: the accuracy of always answering the most common class.
        majority: the scores of that answer; None where the metric makes nothing of it.
        groups: int (n,), the group of each image; images of one group are alike, such as
            photographs of one patient, and count together. None: every image stands alone.
        metric: what the scores average to.
        quantum: mean square of what one image answered otherwise moves its score by: 1 for right
            or wrong, 0 for scores that are continuous.
        overlap: test images per training image, where splits are drawn anew for each seed.

    Raises:
        ValueError: two runs of one split test different images.
    """

    images: tuple[str, ...]
    cells: dict[Key, Scores]
    majority_floor: float = 0.0
    majority: Scores | None = None
    groups: np.ndarray | None = None
    metric: str = "accuracy"
    quantum: float = 1.0
    overlap: float = 0.0

    def __post_init__(self) -> None:
        tested: dict[int, np.ndarray] = {}
        for key, cell in self.cells.items():
            for (split, seed), row in zip(cell.runs, ~np.isnan(cell.values), strict=True):
                if not np.array_equal(row, tested.setdefault(split, row)):
                    raise ValueError(f"{key}, seed {seed}: other test images in split {split}")

    def tested(self, key: Key) -> int:
        """How many images the runs of a cell test together."""
        return int((~np.isnan(self.cells[key].values)).any(axis=0).sum())

    @property
    def largest_fraction(self) -> float:
        return max(fraction for _, fraction in self.cells)

    @property
    def bounded(self) -> bool:
        """Whether the metric lies between 0 and 1 and is best at 1."""
        return self.metric not in LOSSES
