"""The verdict of studies whose outcome is known."""

import json
import tracemalloc

import numpy as np
import pytest

from headstart.verdict import statistics as st
from headstart.verdict.comparison import compare
from headstart.verdict.scores import Scores, Study


def flipped(right: np.ndarray, *images: int) -> np.ndarray:
    """The same answers, but for these images."""
    return right ^ np.isin(np.arange(len(right)), images)


@pytest.fixture
def steady(answers):
    """Three seeds that differ in a few images of 2,000."""
    right = answers(0.9, 0, 2000)
    return [flipped(right, *range(seed, 2000, 400)) for seed in range(3)]


def test_better(answers, make_study, costs):
    seeds = [0, 1, 2]
    data = make_study(
        good=(seeds, [answers(0.95, seed) for seed in seeds]),
        bad=(seeds, [answers(0.6, 10 + seed) for seed in seeds]),
    )
    verdict = compare(costs(good=20.0, bad=5.0), data)
    (pair,) = verdict["comparisons"]
    assert verdict["leader"] == pair["a"] == verdict["recommended"] == "good"
    assert (pair["answer"], pair["about"]) == ("better", "strategies")
    assert 0 < pair["low"] < pair["difference"] < pair["high"]
    assert pair["p"] == pair["p_holm"] < 0.05 and pair["confidence"] == pytest.approx(0.95)
    assert [test["seed"] for test in pair["mcnemar"]] == seeds
    assert "on 300 test images: better than bad (+" in verdict["statement"]
    assert "Take good (21.0 s a run)." in verdict["statement"]
    json.dumps(verdict, allow_nan=False)


def test_as_good(steady, make_study, costs):
    others = [flipped(row, *range(7, 2000, 500)) for row in steady]
    data = make_study(dear=([0, 1, 2], steady), cheap=([0, 1, 2], others))
    verdict = compare(costs(dear=60.0, cheap=4.0), data, margin=1.0)
    (pair,) = verdict["comparisons"]
    assert pair["answer"] == "as good" and pair["within_margin"]
    assert -0.01 < pair["margin_low"] <= pair["difference"] <= pair["margin_high"] < 0.01
    assert pair["margin_confidence"] == pytest.approx(0.9) and pair["p_margin_holm"] < 0.05
    assert verdict["recommended"] == "cheap"
    assert (
        "Take cheap, the cheapest that is as good as the best within 1 point (5.0 s a run, "
        in (verdict["statement"])
    )


def test_undecided_says_what_would_decide(answers, make_study, costs):
    rows = {k: [answers(0.9, 200 + 10 * k + seed) for seed in range(3)] for k in (0, 1)}
    verdict = compare(
        costs(a=1.0, b=9.0), make_study(a=([0, 1, 2], rows[0]), b=([0, 1, 2], rows[1]))
    )
    (pair,) = verdict["comparisons"]
    assert pair["answer"] == "undecided" and verdict["recommended"] is None
    assert pair["needed"]["images"] > 300 and pair["needed"]["seeds"] > 3
    assert sum(pair["variance"].values()) == pytest.approx(1)
    assert (
        "No strategy is shown to be as good as the best within 1 point; roughly "
        in (verdict["statement"])
    )
    assert sum(entry["chance_best"] for entry in verdict["strategies"]) == pytest.approx(1)


def test_better_by_less_than_the_margin_leaves_the_cheap_one_recommended(steady, make_study, costs):
    """Every seed of one gets five images more right of 2,000: better, and within the margin."""
    right = np.flatnonzero(np.all(steady, axis=0))[:12]
    others = [flipped(row, *right) for row in steady]
    data = make_study(dear=([0, 1, 2], steady), cheap=([0, 1, 2], others))
    verdict = compare(costs(dear=60.0, cheap=4.0), data, margin=2.0)
    (pair,) = verdict["comparisons"]
    assert pair["answer"] == "better" and pair["within_margin"]
    assert verdict["recommended"] == "cheap"


def test_two_perfect_strategies_are_not_equal_for_certain(make_study, costs):
    perfect = np.ones((3, 50), dtype=bool)
    data = make_study(a=([0, 1, 2], perfect), b=([0, 1, 2], perfect))
    (pair,) = compare(costs(a=1.0, b=1.0), data, margin=1.0)["comparisons"]
    assert pair["low"] < 0 < pair["high"] and pair["answer"] == "undecided"
    (pair,) = compare(costs(a=1.0, b=1.0), data, margin=5.0)["comparisons"]
    assert pair["answer"] == "as good"


def test_intervals_and_p_values_of_several_pairs_agree(answers, make_study, costs):
    data = make_study(
        **{
            name: ([0, 1, 2], [answers(share, 10 * k + seed, 600) for seed in range(3)])
            for k, (name, share) in enumerate({"low": 0.7, "high": 0.9, "near": 0.88}.items())
        }
    )
    verdict = compare(costs(low=1.0, high=9.0, near=9.0), data)
    means = [entry["mean"] for entry in verdict["strategies"]]
    assert means == sorted(means, reverse=True)
    names = [entry["strategy"] for entry in verdict["strategies"]]
    pairs = verdict["comparisons"]
    assert [(p["a"], p["b"]) for p in pairs] == [
        (names[0], names[1]),
        (names[0], names[2]),
        (names[1], names[2]),
    ]
    assert [p["p_holm"] for p in pairs] == st.holm([p["p"] for p in pairs])
    for pair in pairs:
        assert (pair["low"] > 0) == (pair["p_holm"] <= 0.05) == (pair["answer"] == "better")
        inside = pair["margin_low"] > -0.01 and pair["margin_high"] < 0.01
        assert inside == pair["within_margin"]
    for entry in verdict["strategies"]:
        assert entry["low"] < entry["mean"] < entry["high"]


def test_one_seed_is_about_two_models(answers, make_study, costs):
    data = make_study(a=([0], [answers(0.9, 0)]), b=([0], [answers(0.7, 1)]))
    verdict = compare(costs(a=1.0, b=1.0), data)
    (pair,) = verdict["comparisons"]
    assert pair["about"] == "models" and pair["answer"] == "better"
    assert verdict["recommended"] is None
    assert "McNemar's exact p" in verdict["statement"] and "Take" not in verdict["statement"]
    assert "all this is about these two trained models" in verdict["statement"]


def test_a_strategy_of_one_seed_beside_others_has_no_part_in_the_advice(steady, make_study, costs):
    """Such as an ensemble of the seeds of another."""
    data = make_study(
        full=([0, 1, 2], steady),
        head=([0, 1, 2], [flipped(row, 7) for row in steady]),
        ensemble=([0], steady[:1]),
    )
    verdict = compare(costs(full=9.0, head=2.0, ensemble=1.0), data)
    assert verdict["recommended"] == "head"
    assert (
        "hat is said of ensemble, which has one seed, holds for that model alone"
        in verdict["statement"]
    )


def test_a_single_strategy(answers, make_study, costs):
    data = make_study(only=([0, 1], [answers(0.9, 0), answers(0.9, 1)]))
    verdict = compare(costs(only=1.0), data)
    assert verdict["comparisons"] == [] and verdict["optimism"] == 0
    assert verdict["statement"].startswith("only, the only strategy, reaches a mean accuracy of")


@pytest.mark.parametrize(
    ("right", "words"), [(260, "does not beat"), (235, "is not shown to beat"), (150, None)]
)
def test_the_majority_floor(right, words, make_study, costs):
    rows = np.array([np.arange(300) < 240])
    verdict = compare(costs(a=1.0), make_study(np.arange(300) < right, a=([0], rows)))
    said = f"The best accuracy, a's, {words} that of always answering" if words else "One seed"
    assert said in verdict["statement"]
    assert verdict["floor"]["value"] == right / 300, "to the last digit, as it is rounded for show"


def test_six_strategies_of_ten_seeds_on_ten_thousand_images_need_little_memory(costs):
    """At most a few copies of the scores, whatever the pairs."""
    rng = np.random.default_rng(0)
    runs = tuple((0, seed) for seed in range(10))
    cells = {
        (name, 1.0): Scores(runs, (rng.random((10, 10_000)) < 0.9).astype(float))
        for name in "abcdef"
    }
    study = Study(tuple(map(str, range(10_000))), cells)
    size = sum(cell.values.nbytes for cell in cells.values())
    tracemalloc.start()
    compare(costs(**dict.fromkeys("abcdef", 1.0)), study)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * size


def test_the_leader_is_never_behind(answers, make_study, costs):
    """Ranking and differences use the same runs, where seeds are unequal too."""
    a = [answers(0.6, 0), answers(0.99, 1), answers(0.99, 2)]
    b = [answers(0.8, 10), answers(0.8, 11)]
    (pair,) = compare(costs(a=1.0, b=1.0), make_study(a=([0, 1, 2], a), b=([0, 5], b)))[
        "comparisons"
    ]
    assert pair["a"] == "a" and pair["difference"] > 0
    assert [test["seed"] for test in pair["mcnemar"]] == [0]
