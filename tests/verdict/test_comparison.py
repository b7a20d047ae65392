"""The verdict of studies whose outcome is known."""

import json

import numpy as np
import pandas as pd
import pytest

from headstart.verdict import comparison, inference
from headstart.verdict import statistics as st
from headstart.verdict.scores import Study
from headstart.verdict.words import statement


def compare(runs: pd.DataFrame, study: Study, resamples: int) -> dict:
    return comparison.compare(runs, inference.resample(study, resamples))


def test_clearly_different_strategies_are_distinguishable(answers, make_study, costs):
    data = make_study(
        good=([0, 1], [answers(0.95, 0), answers(0.95, 1)]),
        bad=([0, 1], [answers(0.6, 2), answers(0.6, 3)]),
    )
    verdict = compare(costs(good=20.0, bad=5.0), data, resamples=2000)
    (pair,) = verdict["comparisons"]
    assert verdict["leader"] == pair["a"] == "good"
    assert pair["distinguishable"] is True
    assert 0 < pair["low"] < pair["difference"] < pair["high"]
    assert pair["p"] == pair["p_holm"] == pytest.approx(2 / 2001)
    assert [test["seed"] for test in pair["mcnemar"]] == [0, 1]
    assert "distinguishable on 300 test images from bad (+" in verdict["statement"]
    assert "not distinguishable" not in verdict["statement"]
    assert "cheapest" not in verdict["statement"]
    json.dumps(verdict, allow_nan=False)


def test_identical_strategies_are_not_distinguishable(answers, make_study, costs):
    rows = [answers(0.9, 0), answers(0.9, 1)]
    verdict = compare(
        costs(dear=60.0, cheap=4.0),
        make_study(dear=([0, 1], rows), cheap=([0, 1], rows)),
        resamples=500,
    )
    (pair,) = verdict["comparisons"]
    assert (pair["difference"], pair["low"], pair["high"], pair["p"]) == (0, 0, 0, 1)
    assert pair["distinguishable"] is False
    assert [test["p"] for test in pair["mcnemar"]] == [1.0, 1.0]
    assert "not distinguishable on 300 test images from cheap" in verdict["statement"]
    cost = (
        "the cheapest to train is cheap (5.0 s a run, while dear takes 1 min 01 s, 12 times as long"
    )
    assert f"Of dear and cheap, {cost})." in verdict["statement"]
    runs = costs(dear=60.0, cheap=4.0).assign(device=["gpu", "cpu"])
    assert f"{cost}, on different devices)." in statement(verdict, runs)


def test_ranking_holm_and_wilson_of_three_strategies(answers, make_study, costs):
    data = make_study(
        worst=([0], [answers(0.70, 0)]),
        best=([0], [answers(0.90, 1)]),
        second=([0], [answers(0.88, 2)]),
    )
    verdict = compare(costs(worst=1.0, best=9.0, second=9.0), data, resamples=3000)
    ranked = verdict["strategies"]
    assert [entry["accuracy"] for entry in ranked] == sorted(
        (entry["accuracy"] for entry in ranked), reverse=True
    )
    pairs = [(pair["a"], pair["b"]) for pair in verdict["comparisons"]]
    names = [entry["strategy"] for entry in ranked]
    assert pairs == [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
    adjusted = st.holm([pair["p"] for pair in verdict["comparisons"]])
    assert [pair["p_holm"] for pair in verdict["comparisons"]] == adjusted
    for entry in ranked:
        hits = round(entry["accuracy"] * 300)
        assert entry["wilson"] == [list(st.wilson(hits, 300))]
        assert entry["low"] < entry["accuracy"] < entry["high"]


def test_a_single_seed_is_said(answers, make_study, costs):
    data = make_study(a=([0], [answers(0.9, 0)]), b=([0], [answers(0.7, 1)]))
    verdict = compare(costs(a=1.0, b=1.0), data, resamples=500)
    assert verdict["n_seeds"] == 1
    assert verdict["statement"].endswith("One seed: seed-to-seed variation is not measured.")


def test_a_single_strategy(answers, make_study, costs):
    verdict = compare(
        costs(only=1.0),
        make_study(only=([0, 1], [answers(0.9, 0), answers(0.9, 1)])),
        resamples=200,
    )
    assert verdict["comparisons"] == []
    assert verdict["statement"].startswith("only, the only strategy, reaches a mean accuracy of")


@pytest.mark.parametrize(
    ("floor", "words"),
    [(0.95, "does not beat"), (0.785, "is not distinguishable from"), (0.5, None)],
)
def test_the_majority_floor(floor, words, make_study, costs):
    rows = np.array([np.arange(300) < 240])
    verdict = compare(costs(a=1.0), make_study(floor, a=([0], rows)), resamples=500)
    said = f"The best accuracy {words} that of always answering" if words else "One seed"
    assert said in verdict["statement"]


def test_unequal_seeds_pair_the_common_ones(answers, make_study, costs):
    a, b = [answers(0.9, s) for s in range(3)], [answers(0.8, s + 10) for s in range(2)]
    data = make_study(a=([0, 1, 2], a), b=([5, 2], b))
    (pair,) = compare(costs(a=1.0, b=1.0), data, resamples=500)["comparisons"]
    assert pair["difference"] == pytest.approx(a[2].mean() - b[1].mean())
    assert [test["seed"] for test in pair["mcnemar"]] == [2]


def test_disjoint_seeds_are_drawn_independently(answers, make_study, costs):
    easy, hard = np.ones(300, dtype=bool), answers(0.5, 0)
    shared = make_study(a=([0, 1], [easy, hard]), b=([0, 1], [easy, hard]))
    disjoint = make_study(a=([0, 1], [easy, hard]), b=([2, 3], [easy, hard]))
    runs = costs(a=1.0, b=1.0)
    (paired,) = compare(runs, shared, resamples=500)["comparisons"]
    (unpaired,) = compare(runs, disjoint, resamples=500)["comparisons"]
    assert (paired["low"], paired["high"]) == (0, 0)
    assert unpaired["low"] < -0.3 and unpaired["high"] > 0.3
    assert unpaired["mcnemar"] == [] and not unpaired["distinguishable"]
