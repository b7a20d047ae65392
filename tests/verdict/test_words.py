"""The verdict in words and as a table."""

from headstart.verdict import comparison, inference, reading, tables
from headstart.verdict.words import duration, replicates, statement, verdict_table

TRAINED = {"runs": 3, "splits": 1, "seeds": 3}


def test_how_often_a_strategy_was_trained():
    cases = [(3, 1, 3), (1, 1, 1), (10, 5, 2), (5, 5, 1), (3, 3, 3)]
    entries = [dict(zip(TRAINED, case, strict=True)) for case in cases]
    assert [replicates(entry) for entry in entries] == [
        "3 seeds",
        "1 seed",
        "5 splits × 2 seeds",
        "5 splits × 1 seed",
        "3 seeds, a split each",
    ]


def test_shortcuts_are_told_where_they_come_near(costs):
    entry = {"strategy": "a", "accuracy": 0.9, "low": 0.85, "high": 0.95, **TRAINED}
    verdict = {"n_test": 300, "n_splits": 1, "n_seeds": 3, "leader": "a", "majority_floor": 0.5}
    verdict |= {"strategies": [entry], "comparisons": []}
    floor = {"accuracy": 0.8, "low": 0.75, "alone": {"file format": 0.78, "image size": 0.5}}
    told = statement({**verdict, "shortcut_floor": floor}, costs(a=9.0))
    assert told.endswith(
        "Beware, 80.0 % are right without a look at the pictures, and file format alone tells "
        "78.0 %: see the report."
    )
    for harmless in (floor | {"accuracy": 0.65}, floor | {"low": 0.49}, None):
        assert "Beware" not in statement({**verdict, "shortcut_floor": harmless}, costs(a=9.0))


def test_the_statement_in_full(costs):
    pairs = [("b", 0.005, 0.0002, 0.0098, 0.03, True), ("c", 0.002, -0.004, 0.0, 0.4, False)]
    verdict = {
        "n_test": 10_000,
        "n_splits": 1,
        "n_seeds": 3,
        "leader": "a",
        "majority_floor": 0.1,
        "shortcut_floor": None,
        "strategies": [
            {"strategy": name, "accuracy": 0.9, "low": 0.89, "high": 0.91, **TRAINED}
            for name in "acb"
        ],
        "comparisons": [
            {
                "a": "a",
                "b": b,
                "difference": difference,
                "low": low,
                "high": high,
                "p_holm": p,
                "distinguishable": clear,
            }
            for b, difference, low, high, p, clear in pairs
        ],
    }
    assert statement(verdict, costs(a=9.0, b=1.0, c=19.0)) == (
        "a leads with a mean accuracy of 90.0 % (95 % interval 89.0 to 91.0 %, 3 seeds): "
        "not distinguishable on 10,000 test images from c (+0.2 points, -0.4 to 0.0, "
        "Holm-adjusted p 0.4), but distinguishable from b (+0.50 points, 0.02 to 0.98, "
        "Holm-adjusted p 0.03). Of a and c, the cheapest to train is a (10.0 s a run)."
    )


def test_verdict_table(run_dirs):
    results = reading.read(run_dirs)
    resampled = inference.resample(reading.study(results), resamples=200)
    runs = tables.runs_table(results)
    summary = tables.summary_table(runs, resampled)
    verdict = comparison.compare(runs, resampled)
    lines = verdict_table(verdict, summary).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines[0]) <= 100
    assert [line.split()[0] for line in lines[2:]] == [e["strategy"] for e in verdict["strategies"]]
    assert "1 min 00 s" in lines[-1] and lines[-1].endswith("2,562")
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
