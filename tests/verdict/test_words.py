"""The verdict in words and as a table."""

from headstart.verdict import comparison, inference, reading, tables
from headstart.verdict.words import duration, statement, verdict_table


def test_the_statement_in_full(costs):
    pairs = [("b", 0.005, 0.0002, 0.0098, 0.03, True), ("c", 0.002, -0.004, 0.0, 0.4, False)]
    verdict = {
        "n_test": 10_000,
        "n_seeds": 3,
        "leader": "a",
        "majority_floor": 0.1,
        "strategies": [
            {"strategy": name, "accuracy": 0.9, "low": 0.89, "high": 0.91, "wilson": [[0, 1]] * 3}
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
