"""Which images are shown as mistakes, and as disagreements."""

import pandas as pd

from headstart.verdict import mistakes


def answers(predicted: str, sure: list[float] | None = None) -> pd.DataFrame:
    """Four images labelled a, a, b, b, and what was said of them."""
    p = pd.Series(sure or [0.6] * 4)
    frame = pd.DataFrame({"id": list("wxyz"), "label": list("aabb"), "predicted": list(predicted)})
    return frame.assign(**{"p:a": p, "p:b": 1 - p})


def test_the_surest_wrong_answers_come_first() -> None:
    worst = mistakes.worst(answers("bbab", [0.2, 0.05, 0.7, 0.1]), 2)
    assert list(worst.id) == ["x", "w"] and list(worst.confidence.round(2)) == [0.95, 0.8]
    assert mistakes.worst(answers("aabb"), 2).empty


def test_a_share_counts_the_runs_that_tested_an_image() -> None:
    one, other = answers("aabb"), answers("babb").iloc[:2]
    shares = mistakes.shares_right([one, other])
    assert dict(shares) == {"w": 0.5, "x": 1.0, "y": 1.0, "z": 1.0}


def test_a_disagreement_needs_most_runs_on_either_side() -> None:
    a = pd.Series({"w": 1.0, "x": 0.6, "y": 0.5, "z": 1.0, "alone": 1.0})
    b = pd.Series({"w": 0.4, "x": 0.0, "y": 0.0, "z": 0.5})
    apart = mistakes.only_right(a, b)
    assert list(apart.index) == ["w", "x"] and mistakes.only_right(b, a).empty
