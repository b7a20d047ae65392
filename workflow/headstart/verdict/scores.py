"""What inference works on: how each run scored on each test image.

A score is any number whose mean over a run's test images is that run's metric. Right-or-wrong,
1.0 or 0.0, is the score of accuracy. A larger score is the better one, so that a loss takes a
minus.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Key = tuple[str, float]
Run = tuple[int, int]


@dataclass(frozen=True)
class Scores:
    """The runs of one strategy and fraction.

    Attributes:
        runs: the split and the seed of each run.
        values: float (runs, n), a row per run and a column per image of the study; nan where the
            image is not among the run's test images, because another split tests it.
    """

    runs: tuple[Run, ...]
    values: np.ndarray

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run; a seed stands once for each of its splits."""
        return tuple(seed for _, seed in self.runs)

    @property
    def splits(self) -> tuple[int, ...]:
        """The split of each run."""
        return tuple(split for split, _ in self.runs)

    def rows(self, runs: Sequence[Run]) -> list[int]:
        """The row of each of these runs."""
        return [self.runs.index(run) for run in runs]


@dataclass(frozen=True)
class Study:
    """All runs of an experiment.

    Attributes:
        images: n image ids, the columns of every cell.
        cells: the scores by (strategy, fraction), in the order of the strategies.
        majority_floor: the metric of always answering the most common class.
        groups: int (n,), the group of each image; images of one group are alike, such as
            photographs of one patient, and are drawn together. None: every image stands alone.

    Raises:
        ValueError: two runs of one split test different images.
    """

    images: tuple[str, ...]
    cells: dict[Key, Scores]
    majority_floor: float
    groups: np.ndarray | None = None

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
