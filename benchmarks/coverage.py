"""How often the verdict's intervals hold the truth, and how often its answers are wrong.

Studies are simulated whose truth is known: strategy k with seed s is right on image i where

    mu_k + b_ks + t_i + u_ki + e_ksi > 0,

all of it normal: t the image's difficulty, u what a strategy finds difficult, e what one training
does, of variance 0.75, 0.1 and 0.15 (seeds differ on 7 to 8 % of the images at 90 % accuracy,
strategies on 10 %), and b what a seed does to all images, as large as it takes for the accuracy to
vary by the given points. Over all seeds and images the accuracy is Φ(mu / sqrt(1 + var b)). One
seed speaks of its two models, whose accuracies are Φ(mu + b).

`python benchmarks/coverage.py` prints the table of docs/method.md.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from coverage_method import study
from scipy.stats import norm
from table import Row

from headstart.verdict import inference
from headstart.verdict.answers import Answer, answers
from headstart.verdict.scores import Scores, Study

COMMON, OWN = 0.75, 0.1
SEEDS = (1, 2, 3, 5, 10)
LONG, SHORT = 2000, 150
_SEPARATION = np.linspace(0.5, 0.1, 12)


@dataclass(frozen=True)
class Cell:
    """Studies of one kind; `sd` is that of a seed's true accuracy, in points."""

    images: int
    seeds: int
    accuracies: tuple[float, ...]
    sd: float

    @property
    def effect(self) -> float:
        """The standard deviation of b, to first order."""
        middle = norm.ppf(np.mean(self.accuracies))
        return float(self.sd / 100 / norm.pdf(middle))


def simulated(cell: Cell, studies: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Right answers, bool (strategies, seeds, images), and the true accuracies, (strategies,)."""
    rng = np.random.default_rng([cell.images, cell.seeds, len(cell.accuracies), int(cell.sd * 10)])
    truth, spread = np.array(cell.accuracies), np.hypot(1, cell.effect)
    mu = norm.ppf(truth) * spread
    shape = (len(truth), cell.seeds)
    for _ in range(studies):
        level = mu[:, None] + cell.effect * rng.standard_normal(shape)
        image = np.sqrt(COMMON) * rng.standard_normal(cell.images)
        own = np.sqrt(OWN) * rng.standard_normal((len(truth), 1, cell.images))
        rest = np.sqrt(1 - COMMON - OWN) * rng.standard_normal((*shape, cell.images))
        yield (
            level[..., None] + image + own + rest > 0,
            (norm.cdf(level[:, 0]) if cell.seeds == 1 else truth),
        )


def coverage(cell: Cell, studies: int) -> tuple[float, float]:
    """Shares of the intervals, of the difference of two strategies and of a mean, that hold it."""
    held = np.zeros(2)
    for right, truth in simulated(cell, studies):
        given = study(*right)
        a, b = given.cells
        pair = inference.difference(given, a, b).components.interval(inference.ALPHA)
        mean = inference.mean(given, a)
        held += pair[0] <= truth[0] - truth[1] <= pair[1], mean.low <= truth[0] <= mean.high
    return tuple(held / studies)  # type: ignore[return-value]


def wrong(cell: Cell, studies: int, margin: float) -> tuple[float, float]:
    """Shares of studies with a wrong "better", and with a wrong "as good", of any pair.

    "Better" is wrong of equal strategies, "as good" of those that differ by the margin, in points,
    or more.
    """
    found = np.zeros(2)
    for right, truth in simulated(cell, studies):
        given = study(*right)
        pairs = answers(inference.differences(given, list(given.cells)), margin / 100)
        gaps = [abs(truth[int(p.difference.a[0])] - truth[int(p.difference.b[0])]) for p in pairs]
        found += _wrong(pairs, gaps, margin / 100)
    return tuple(found / studies)  # type: ignore[return-value]


def _wrong(pairs: Sequence[Answer], gaps: Sequence[float], margin: float) -> tuple[bool, bool]:
    better = any(pair.better for pair, gap in zip(pairs, gaps, strict=True) if gap < 1e-9)
    as_good = any(
        pair.within_margin for pair, gap in zip(pairs, gaps, strict=True) if gap > margin - 1e-9
    )
    return better, as_good


def shown(cell: Cell, studies: int, margin: float) -> tuple[float, float]:
    """Shares of studies of two strategies that are answered "better", and "as good"."""
    found = np.zeros(2)
    for right, _ in simulated(cell, studies):
        given = study(*right)
        (pair,) = answers(inference.differences(given, list(given.cells)), margin / 100)
        found += pair.better, pair.within_margin
    return tuple(found / studies)  # type: ignore[return-value]


def redrawn(images: int, splits: int, studies: int) -> float:
    """Share of the intervals of a difference that hold it, where each seed draws its own split.

    Two classes, normal in twelve dimensions; a nearest mean of three of these against one of all,
    trained on four fifths of the images and tested on the rest. Its accuracy, given the two means
    that it found, is known in closed form, and is averaged over training sets.
    """
    rng, held, train = np.random.default_rng([images, splits]), 0, images * 4 // 5
    truth = np.mean([_known(*_drawn(train, rng)) for _ in range(4000)], axis=0)
    runs = tuple((split, split) for split in range(splits))
    for _ in range(studies):
        x, labels = _drawn(images, rng)
        right = np.full((2, splits, images), np.nan)
        for split in range(splits):
            order = rng.permutation(images)
            tested = order[train:]
            for k, d in enumerate((3, 12)):
                w, c = _fitted(x[order[:train], :d], labels[order[:train]])
                right[k, split, tested] = (x[tested, :d] @ w > c) == labels[tested]
        cells = {(name, 1.0): Scores(runs, rows) for name, rows in zip("ab", right, strict=True)}
        given = Study(("",) * images, cells, overlap=(images - train) / train)
        low, high = inference.difference(given, *given.cells).components.interval(inference.ALPHA)
        held += low <= truth[0] - truth[1] <= high
    return held / studies


def _drawn(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 12) and labels, bool (n,), of classes about ± the separation."""
    labels = rng.random(n) < 0.5
    return rng.standard_normal((n, 12)) + np.where(labels, 1, -1)[:, None] * _SEPARATION, labels


def _fitted(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction and threshold of the nearest of two means."""
    one, other = x[labels].mean(axis=0), x[~labels].mean(axis=0)
    return one - other, float((one @ one - other @ other) / 2)


def _known(x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracies of the two classifiers trained on these points."""
    found = []
    for d in (3, 12):
        w, c = _fitted(x[:, :d], labels)
        sides = norm.cdf((w @ _SEPARATION[:d] + np.array([-c, c])) / np.linalg.norm(w))
        found.append(float(sides.mean()))
    return found[0], found[1]


def cells(seeds: int, quick: bool) -> list[Cell]:
    """Two equal strategies, from few images to many and from steady seeds to unsteady ones."""
    kinds = [(0.9, 100), (0.9, 656)] if quick else itertools.product((0.75, 0.9, 0.97), (100, 656))
    return [
        Cell(images, seeds, (accuracy, accuracy), sd)
        for (accuracy, images), sd in itertools.product(kinds, (0.0, 0.3, 1.0, 2.0))
        if sd <= 40 * (1 - accuracy)
    ]


def several(seeds: int) -> list[Cell]:
    """Two equal ones and two that are 3 points worse, on so many images that answers are given."""
    return [Cell(2000, seeds, (0.9, 0.9, 0.87, 0.87), sd) for sd in (0.0, 0.3, 1.0)]


def table(studies: int, quick: bool) -> Iterator[str]:
    """The lines of a Markdown table, one per number of seeds; percentages of studies."""
    yield (
        "| seeds | interval of a difference holds it | of a mean | wrong better, 2 strategies | "
        "wrong better, 4 | wrong as good, 4 | 3 points found better | equal ones found as good |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for seeds in SEEDS:
        held = np.array([coverage(cell, studies) for cell in cells(seeds, quick)])
        two = [] if seeds == 1 else [wrong(cell, studies, 3)[0] for cell in cells(seeds, quick)]
        four = [] if seeds == 1 else [wrong(cell, studies, 3) for cell in several(seeds)]
        better, as_good = zip(*four, strict=True) if four else ((), ())
        power = [shown(Cell(656, seeds, (0.915, 0.885), sd), studies, 3)[0] for sd in (0.3, 1.0)]
        equal = [shown(Cell(2000, seeds, (0.9, 0.9), sd), studies, 3)[1] for sd in (0.3, 1.0)]
        columns = [held[:, 0], held[:, 1], two, better, as_good, power, equal]
        yield f"| {seeds} | {' | '.join(map(_range, columns))} |"


def _range(shares: Sequence[float]) -> str:
    """Least to most, in per cent."""
    if not len(shares):
        return "–"
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f}"


def rows(folder: Path, quick: bool) -> list[Row]:
    """The least coverage and the most wrong answers over all cells, from two seeds on."""
    studies = SHORT if quick else LONG
    slack = 3 * np.sqrt(0.05 * 0.95 / studies)
    some = [cell for seeds in (SEEDS[1:3] if quick else SEEDS[1:]) for cell in cells(seeds, quick)]
    held = np.array([coverage(cell, studies) for cell in some])
    two = max(wrong(cell, studies, 3)[0] for cell in some)
    four = np.array(
        [wrong(c, studies, 3) for s in ((3,) if quick else SEEDS[1:]) for c in several(s)]
    )
    of = f"{len(some)} cells of {studies} studies"
    least, most = 95 - 100 * slack, 5 + 100 * slack
    return [
        Row("interval of a difference, least % held", 100 * held[:, 0].min(), least, of, ""),
        Row("interval of a mean, least % held", 100 * held[:, 1].min(), least, of, ""),
        Row("interval with redrawn splits, % held", 100 * redrawn(100, 5, studies), least, "", ""),
        Row("wrong better of 2 strategies, most %", 100 * two, most, of, "", at_most=True),
        Row("wrong better of 4, most %", 100 * four[:, 0].max(), most, of, "", at_most=True),
        Row("wrong as good of 4, most %", 100 * four[:, 1].max(), most, of, "", at_most=True),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=LONG, help="simulated studies per cell")
    parser.add_argument("--quick", action="store_true", help="fewer cells")
    given = parser.parse_args()
    for line in table(given.studies, given.quick):
        print(line, flush=True)


if __name__ == "__main__":
    main()
