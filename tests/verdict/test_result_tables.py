"""The rows and columns of runs.csv and summary.csv."""

import pytest

from headstart.verdict import comparison, reading, tables


def test_runs_table_keeps_the_columns_and_the_given_order(run_dirs):
    runs = tables.runs_table(reading.read(run_dirs))
    assert list(runs.columns) == tables.RUN_COLUMNS
    assert runs["strategy"].unique().tolist() == ["scratch", "full", "head_only"]
    full = runs[runs["strategy"] == "full"]
    assert full["fraction"].tolist() == [0.1, 0.1, 1.0, 1.0]
    assert full["seed"].tolist() == [0, 1, 0, 1]
    assert full["device_seconds"].tolist() == [31.0, 31.0, 73.0, 73.0], "features and tuning count"
    assert (runs["trials"] == 4).all() and (runs["n_test"] == 300).all()


def test_summary_agrees_with_the_verdict(run_dirs):
    results = reading.read(run_dirs)
    study = reading.study(results)
    runs = tables.runs_table(results)
    summary = tables.summary_table(runs, study)
    verdict = comparison.compare(runs, study)
    assert summary[["strategy", "fraction"]].values.tolist() == [
        ["scratch", 1.0],
        ["full", 0.1],
        ["full", 1.0],
        ["head_only", 1.0],
    ]
    row = summary.iloc[2]
    of_full = runs[(runs["strategy"] == "full") & (runs["fraction"] == 1.0)]
    assert row["accuracy"] == pytest.approx(of_full["accuracy"].mean())
    assert row["accuracy_sd"] == pytest.approx(of_full["accuracy"].std())
    assert row["peak_memory_bytes"] == 1001 and row["seeds"] == 2
    entry = next(e for e in verdict["strategies"] if e["strategy"] == "full")
    assert (row["accuracy_low"], row["accuracy_high"]) == (entry["low"], entry["high"])
    assert verdict["fraction"] == 1.0 and verdict["majority_floor"] == pytest.approx(2 / 3)
