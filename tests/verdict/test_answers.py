"""The three answers and the recommendation, against two one-sided tests and worked cases."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_paired

from headstart.verdict import answers, inference
from headstart.verdict.components import Components, Seeds
from headstart.verdict.inference import Difference
from headstart.verdict.scores import Scores, Study

ALIKE, APART, UNCLEAR = (0.0, 0.001), (0.05, 0.001), (0.005, 0.01)


def pair(a, b, value, error):
    components = Components(value, 10_000, 0.0, (Seeds(error**2, 9, 0.0),))
    return Difference((a, 1.0), (b, 1.0), components, False, ())


def cell(seeds=3):
    return Scores(tuple((0, seed) for seed in range(seeds)), np.ones((seeds, 2)))


def test_as_good_is_two_one_sided_t_tests():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    scores = {("a", 1.0): a, ("b", 1.0): b}
    cells = {key: Scores(((0, 0),), row[None]) for key, row in scores.items()}
    study = Study(tuple(map(str, range(200))), cells, metric="log_loss", quantum=0.0)
    (found,) = answers.answers([inference.difference(study, *scores)], 0.3)
    p, _, _ = ttost_paired(a, b, -0.3, 0.3)
    assert found.p_margin == pytest.approx(p)


def test_beyond_the_margin_nothing_is_as_good():
    (found,) = answers.answers([pair("a", "b", 0.05, 0.001)], 0.01)
    assert found.p_margin > 0.999 and not found.within_margin and found.text == "better"


@pytest.mark.parametrize(
    ("ab", "ac", "bc", "expected"),
    [
        (APART, APART, UNCLEAR, "a"),
        (ALIKE, APART, APART, "b"),
        (ALIKE, ALIKE, ALIKE, "c"),
        (UNCLEAR, APART, APART, None),
        # c might be the best, and nothing is shown to be as good as it
        (ALIKE, UNCLEAR, UNCLEAR, None),
        # c is better than neither, and as good as both
        (UNCLEAR, ALIKE, ALIKE, "c"),
    ],
)
def test_the_recommendation(ab, ac, bc, expected):
    found = answers.answers([pair("a", "b", *ab), pair("a", "c", *ac), pair("b", "c", *bc)], 0.01)
    cells, seconds = dict.fromkeys("abc", cell()), {"a": 9.0, "b": 3.0, "c": 1.0}
    assert answers.recommended(found, cells, seconds) == expected


def test_a_single_model_is_not_recommended():
    found = answers.answers(
        [pair("a", "b", *ALIKE), pair("a", "c", *ALIKE), pair("b", "c", *ALIKE)], 0.01
    )
    seconds = {"a": 9.0, "b": 3.0, "c": 1.0}
    one, several = cell(1), cell()
    assert answers.recommended(found, {"a": several, "b": several, "c": one}, seconds) == "b"
    assert answers.recommended(found, {"a": several, "b": one, "c": one}, seconds) is None
