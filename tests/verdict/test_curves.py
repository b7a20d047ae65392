"""Learning curves whose crossing, slope and gain are known."""

import numpy as np
import pandas as pd
import pytest

from headstart.verdict import inference
from headstart.verdict.comparison import compare
from headstart.verdict.curves import crossover, gain
from headstart.verdict.scores import Scores, Study

FRACTIONS = [0.125, 0.25, 0.5, 1.0]


def study_of(n=4000, seeds=3, **accuracies):
    """Strategies whose accuracy at each fraction is given; images are equally hard for all."""
    rng = np.random.default_rng(0)
    hard = rng.random(n)
    cells = {}
    for name, values in accuracies.items():
        for fraction, accuracy in zip(FRACTIONS, values, strict=True):
            rows = hard + 0.05 * rng.normal(size=(seeds, n)) < np.quantile(hard, accuracy)
            runs = tuple((0, seed) for seed in range(seeds))
            cells[name, fraction] = Scores(runs, rows.astype(float))
    return Study(tuple(map(str, range(n))), cells)


def runs_of(study):
    rows = [
        {"strategy": name, "fraction": fraction, "accuracy": 0.9, "device": "cpu"}
        for name, fraction in study.cells
    ]
    return pd.DataFrame(rows).assign(device_seconds=1.0)


def test_a_crossing_lies_between_the_fractions_where_the_lead_changes():
    """−6, −2, +2 and +6 points: the line crosses half way between 0.25 and 0.5 on a log scale."""
    study = study_of(a=[0.70, 0.76, 0.82, 0.88], b=[0.76, 0.78, 0.80, 0.82])
    found = crossover(study, "b", "a")
    assert (found["a"], found["b"]) == ("a", "b")
    assert found["fraction"] == pytest.approx(np.sqrt(0.125), rel=0.1)
    assert 0.125 < found["low"] < found["fraction"] < found["high"] < 1
    never = study_of(a=[0.7, 0.8, 0.85, 0.9], b=[0.6, 0.7, 0.75, 0.8])
    assert crossover(never, "a", "b") is None


def test_the_ends_of_a_crossing_may_be_beyond_what_was_run():
    few = study_of(60, a=[0.70, 0.76, 0.80, 0.84], b=[0.75, 0.78, 0.78, 0.80])
    found = crossover(few, "a", "b")
    assert found is not None and found["low"] is None and found["high"] is None


def test_the_gain_of_a_power_law():
    """Errors that fall by a factor of 0.8 with each doubling: 0.1024 next after 0.128."""
    errors = 0.25 * 0.8 ** np.arange(4)
    found = gain(study_of(a=1 - errors), [("a", fraction) for fraction in FRACTIONS])
    assert found.value == pytest.approx(0.2 * errors[-1], rel=0.1)
    assert found.low < 0.2 * errors[-1] < found.high and found.misfit < 0.005


def test_a_gain_is_not_told_of_two_fractions_or_without_mistakes():
    study = study_of(a=[0.7, 0.8, 0.9, 1.0])
    cells = {key: Scores(cell.runs, np.ones_like(cell.values)) for key, cell in study.cells.items()}
    keys = list(study.cells)
    assert gain(study, keys[2:]) is None
    assert gain(Study(study.images, cells), keys) is None


def test_the_verdict_of_a_learning_curve():
    study = study_of(a=[0.70, 0.76, 0.82, 0.88], b=[0.76, 0.78, 0.80, 0.82])
    verdict = compare(runs_of(study), study)
    curve = verdict["learning_curve"]
    assert [at["fraction"] for at in curve["fractions"]] == FRACTIONS
    assert [at["leader"] for at in curve["fractions"]] == ["b", "b", "a", "a"]
    assert curve["fractions"][-1]["recommended"] == verdict["recommended"] == "a"
    slope = curve["growth"][0]
    last = inference.difference(study, ("a", 1.0), ("a", 0.5)).components
    assert (slope["slope"], slope["low"]) == pytest.approx((last.value, last.interval(0.05)[0]))
    said = verdict["statement"]
    assert "At about 3" in said and " % of the training images (" in said
    assert " %) a overtakes b." in said
    assert "More training images help a (+5.6" in said and "twice as many would add about" in said


def test_a_single_fraction_has_no_curve(answers, make_study, costs):
    data = make_study(a=([0, 1], [answers(0.9, 0), answers(0.9, 1)]))
    assert compare(costs(a=1.0), data)["learning_curve"] is None
