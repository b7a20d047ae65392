"""The verdict in words and as a table."""

import pandas as pd
import pytest

from headstart.verdict import comparison, reading, tables
from headstart.verdict.phrases import duration, replicates, rounded
from headstart.verdict.terminal import failures, verdict_table
from headstart.verdict.words import statement

TRAINED = {"runs": 3, "splits": 1, "seeds": 3, "deterministic": False}


@pytest.fixture
def verdict():
    """Of strategies named a, b, …, without any pair."""

    def make(names="a", **changes):
        entry = {"mean": 0.9, "low": 0.89, "high": 0.91, "accuracy": 0.9, **TRAINED}
        entry |= {"chance_best": 0.5}
        return {
            "metric": "accuracy",
            "metric_name": "accuracy",
            "margin": 1.0,
            "n_test": 10_000,
            "n_groups": None,
            "n_splits": 1,
            "n_seeds": 3,
            "leader": "a",
            "recommended": None,
            "optimism": 0.0,
            "majority_floor": 0.5,
            "floor": {"value": 0.5, "difference": 0.4, "low": 0.38, "high": 0.42},
            "shortcut_floor": None,
            "strategies": [{"strategy": name, **entry} for name in names],
            "comparisons": [],
            "learning_curve": None,
            "missing": [],
            "tests": [],
            **changes,
        }

    return make


def pair(b, answer, **changes):
    numbers = {"difference": 0.002, "low": -0.004, "high": 0.008, "p_holm": 0.4}
    numbers |= {"margin_low": -0.003, "margin_high": 0.007, "p_margin_holm": 0.012}
    needed = {"images": 25_301, "seeds": 8, "together": None}
    return {
        "a": "a",
        "b": b,
        "answer": answer,
        "about": "strategies",
        "within_margin": answer == "as good",
        "mcnemar": [],
        "needed": needed,
        **numbers,
        **changes,
    }


def test_how_often_a_strategy_was_trained():
    cases = [(3, 1, 3), (1, 1, 1), (10, 5, 2), (5, 5, 1), (3, 3, 3)]
    entries = [dict(zip(TRAINED, (*case, False), strict=True)) for case in cases]
    assert [replicates(entry) for entry in entries] == [
        "3 seeds",
        "1 seed",
        "5 splits × 2 seeds",
        "5 splits × 1 seed",
        "3 seeds, a split each",
    ]
    assert replicates(TRAINED | {"deterministic": True}) == "the same model for every seed"


def test_the_statement_in_full(costs, verdict):
    pairs = [
        pair("b", "better", difference=0.005, low=0.0002, high=0.0098, p_holm=0.03)
        | {"within_margin": True},
        pair("c", "as good"),
        pair("d", "undecided"),
    ]
    said = statement(
        verdict("acdb", comparisons=pairs, recommended="c", optimism=0.0031),
        costs(a=9.0, b=1.0, c=4.0, d=1.0),
    )
    assert said == (
        "a leads with a mean accuracy of 90.0 % (95 % interval 89.0 to 91.0 %, 3 seeds) on 10,000 "
        "test images: better than b (+0.50 points, 0.02 to 0.98, Holm-adjusted p 0.03, though by "
        "less than the margin), as good as "
        "c (+0.2 points, -0.3 to 0.7, Holm-adjusted p 0.012) and undecided against d (+0.2 points, "
        "-0.4 to 0.8, Holm-adjusted p 0.4). Take c, the cheapest that is as good as the best "
        "within 1 point (5.0 s a run, while a takes 10.0 s, 2.0 times as long). Chosen by its own "
        "score, a may owe about 0.3 points of it to luck."
    )


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        ({"images": 25_301, "seeds": 8}, "roughly 26,000 test images or 8 seeds each would decide"),
        (
            {"images": None, "seeds": 8},
            "roughly 8 seeds each (no number of test images alone) would decide",
        ),
        ({"images": 900, "seeds": None}, "roughly 900 test images would decide"),
        (
            {"images": None, "seeds": None, "together": {"images": 5000, "seeds": 5}},
            "roughly 5,000 test images with 5 seeds each would decide",
        ),
        ({"images": None, "seeds": None}, "deciding between a and b takes more images and more"),
    ],
)
def test_what_would_decide_is_said(needed, said, costs, verdict):
    undecided = pair("b", "undecided", needed={"together": None} | needed)
    text = statement(verdict("ab", comparisons=[undecided]), costs(a=9.0, b=1.0))
    start = "No strategy is shown to be as good as the best within 1 point; "
    assert start + said in text
    grouped = statement(verdict("ab", comparisons=[undecided], n_groups=44), costs(a=9.0, b=1.0))
    assert ("groups of test images" in grouped) == ("test images" in said)


def test_times_on_different_devices_are_not_compared_in_silence(costs, verdict):
    said = verdict("ab", comparisons=[pair("b", "as good")], recommended="b")
    runs = costs(a=9.0, b=1.0).assign(device=["gpu", "cpu"])
    assert "5.0 times as long, on different devices)." in statement(said, runs)


def test_a_metric_that_is_no_share(costs, verdict):
    loss = verdict(metric="log_loss", metric_name="log loss", floor=None)
    assert "a mean log loss of 0.900 (95 % interval 0.890 to 0.910, 3 seeds)" in (
        statement(loss, costs(a=1.0))
    )


def test_shortcuts_are_told_where_they_come_near(costs, verdict):
    floor = {"accuracy": 0.8, "low": 0.75, "alone": {"file format": 0.78, "image size": 0.5}}
    told = statement(verdict(shortcut_floor=floor), costs(a=9.0))
    assert told.endswith(
        "Beware, 80.0 % are right without a look at the pictures, and file format alone tells "
        "78.0 %: see the report."
    )
    for harmless in (floor | {"accuracy": 0.65}, floor | {"low": 0.49}, None):
        assert "Beware" not in statement(verdict(shortcut_floor=harmless), costs(a=9.0))


def test_verdict_table(run_dirs):
    results = reading.read(run_dirs)
    study = reading.study(results)
    runs = tables.runs_table(results)
    summary = tables.summary_table(runs, study)
    verdict = comparison.compare(runs, study)
    lines = verdict_table(verdict, summary).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines[0]) <= 100
    assert [line.split()[0] for line in lines[2:]] == [e["strategy"] for e in verdict["strategies"]]
    assert "1 min 23 s" in lines[-1] and lines[-1].endswith("2,562")
    long = "x" * 120
    entry = {**verdict["strategies"][0], "strategy": long}
    renamed = summary.assign(strategy=long).iloc[[0]]
    wide = verdict_table({**verdict, "strategies": [entry]}, renamed)
    assert max(map(len, wide.splitlines())) == 100 and "…" in wide


def test_duration():
    assert [duration(s) for s in (0.04, 59.96, 185, 7630)] == [
        "0.0 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 07 min",
    ]


def test_counts_are_rounded_upwards():
    assert [rounded(count) for count in (7, 99, 901, 25_301)] == [7, 99, 910, 26_000]


def test_what_is_missing_is_said_first(verdict):
    lost = [("full", 0, "out of memory"), ("full", 2, "out of memory"), ("lp_ft", 1, "killed")]
    place = {"fraction": 1.0, "split": 0}
    missing = [{"strategy": n, "seed": s, "reason": why, **place} for n, s, why in lost]
    study = verdict(missing=missing)
    runs = pd.DataFrame({"strategy": ["a"], "device_seconds": [1.0], "device": ["CPU"]})
    said = statement(study, runs)
    assert said.startswith(
        "3 runs have failed (2 of full and 1 of lp_ft), and this compares what is left. a, the only"
    )
    assert failures(study) == [
        "Failed: out of memory",
        "  full, fraction 1, split 0, seed 0",
        "  full, fraction 1, split 0, seed 2",
        "Failed: killed",
        "  lp_ft, fraction 1, split 0, seed 1",
        "",
    ]
    assert failures(verdict()) == []
