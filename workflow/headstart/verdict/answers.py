"""The answer for every pair, better, as good or undecided, and the strategy that follows from them.

*Better*: the interval of the difference leaves out 0. *As good*: its 90 % interval lies within the
margin either way, by two one-sided tests (Schuirmann 1987, "A comparison of the two one-sided tests
procedure and the power approach"). Both are held to 5 % over all pairs together (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headstart.verdict.inference import ALPHA, Difference
from headstart.verdict.scores import Scores
from headstart.verdict.statistics import holm, holm_levels

BETTER, AS_GOOD, UNDECIDED = "better", "as good", "undecided"


@dataclass(frozen=True)
class Answer:
    """What the evidence says of a pair.

    Attributes:
        p: of "no difference"; `p_holm` is adjusted for all pairs.
        level: at which Holm's procedure tests it.
        p_margin: of "they differ by the margin or more"; `p_margin_holm` is adjusted, and
            `level_margin` its level.
        margin: in the metric's own unit.
    """

    difference: Difference
    p: float
    p_holm: float
    level: float
    p_margin: float
    p_margin_holm: float
    level_margin: float
    margin: float

    @property
    def better(self) -> bool:
        """Whether one of the two is shown to be better, by however little."""
        return self.p_holm <= ALPHA

    @property
    def within_margin(self) -> bool:
        """Whether they are shown to differ by less than the margin."""
        return self.p_margin_holm <= ALPHA

    @property
    def text(self) -> str:
        if self.better:
            return BETTER
        return AS_GOOD if self.within_margin else UNDECIDED

    @property
    def interval(self) -> tuple[float, float]:
        """At 1 − level: it leaves out 0 exactly where one of the two is better."""
        return self.difference.components.interval(self.level)

    @property
    def margin_interval(self) -> tuple[float, float]:
        """At 1 − 2 level_margin: it lies within the margin exactly where they are as good."""
        return self.difference.components.interval(2 * self.level_margin)


def answers(differences: Sequence[Difference], margin: float) -> list[Answer]:
    """The answer of every pair, adjusted for all of them.

    Args:
        margin: the difference worth having, in the metric's own unit.
    """
    p = [pair.components.p(pair.value) for pair in differences]
    p_margin = [_p_margin(pair, margin) for pair in differences]
    of_zero = zip(p, holm(p), holm_levels(p, ALPHA), strict=True)
    of_margin = zip(p_margin, holm(p_margin), holm_levels(p_margin, ALPHA), strict=True)
    return [
        Answer(pair, *zero, *wide, margin)
        for pair, zero, wide in zip(differences, of_zero, of_margin, strict=True)
    ]


def _p_margin(pair: Difference, margin: float) -> float:
    """The larger p of the two one-sided tests, that against the nearer end of the margin."""
    distance = margin - abs(pair.value)
    tail = pair.components.p(distance) / 2
    return tail if distance > 0 else 1 - tail


def recommended(
    found: Sequence[Answer], cells: Mapping[str, Scores], seconds: Mapping[str, float]
) -> str | None:
    """The cheapest strategy that is shown to be as good as the best, or to be the best.

    Any strategy that none is shown to be better than may be the best; one is as good as the best
    where it is within the margin of each of those. A strategy of a single model has no part in it.

    Args:
        cells: the scores of each strategy.
        seconds: what a run of each strategy costs.

    Returns:
        None where the evidence names no such strategy, or fewer than two have part in it.
    """
    names = [name for name, cell in cells.items() if not cell.single]
    pairs = {(one.difference.a[0], one.difference.b[0]): one for one in found}
    worse = {_worse(pair) for pair in found if pair.better and set(_names(pair)) <= set(names)}
    best = [name for name in names if name not in worse]

    def within(a: str, b: str) -> bool:
        return a == b or (pairs.get((a, b)) or pairs[b, a]).within_margin

    shown = [name for name in names if all(within(name, other) for other in best)]
    return min(shown, key=lambda name: seconds[name]) if shown and len(names) > 1 else None


def _names(pair: Answer) -> tuple[str, str]:
    return pair.difference.a[0], pair.difference.b[0]


def _worse(pair: Answer) -> str:
    return _names(pair)[1 if pair.difference.value > 0 else 0]
