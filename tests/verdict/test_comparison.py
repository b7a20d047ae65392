"""Bootstrap, tests and verdict against independent references and hand-worked cases."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from headstart import HeadstartError
from headstart.verdict import comparison as cp
from headstart.verdict import statistics as st
from headstart.verdict.words import duration, statement

IMAGES = [f"i{i:04d}" for i in range(300)]
LABELS = np.array(["a", "b", "b"] * 100)


def write_run(root, strategy, seed, right, fraction=1.0, seconds=10.0, ids=None, labels=LABELS):
    """A run directory whose predictions are right where `right` says so."""
    directory = root / strategy / f"fraction-{fraction}" / f"seed-{seed}"
    directory.mkdir(parents=True)
    run = {
        "experiment": "toy",
        "strategy": strategy,
        "fraction": fraction,
        "seed": seed,
        "device": "cpu",
        "epochs": 3,
        "train_seconds": seconds,
        "feature_seconds": None,
        "images_per_second": 50.0,
        "peak_memory_bytes": 1000 + seed,
        "trainable_parameters": 2562,
        "mlflow_run_id": f"{strategy}{seed}",
    }
    metrics = {
        name: {"value": float(np.mean(right)), "low": 0.0, "high": 1.0}
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc")
    }
    wrong = np.where(labels == "a", "b", "a")
    predictions = pd.DataFrame(
        {"id": ids or IMAGES, "label": labels, "predicted": np.where(right, labels, wrong)}
    )
    (directory / "run.json").write_text(json.dumps(run))
    (directory / "metrics.json").write_text(
        json.dumps({"n_test": len(labels), "metrics": metrics, "majority_floor": 2 / 3})
    )
    predictions.to_parquet(directory / "predictions.parquet")
    return directory


def answers(accuracy, seed, n=300):
    return np.random.default_rng(seed).random(n) < accuracy


def correct(floor=0.5, **strategies):
    """A `Correct` from strategy=(seeds, rows)."""
    cells = {
        (name, 1.0): cp.Cell(tuple(seeds), np.array(rows, dtype=bool))
        for name, (seeds, rows) in strategies.items()
    }
    n = next(iter(cells.values())).right.shape[1]
    return cp.Correct([str(i) for i in range(n)], cells, floor)


def costs(**seconds):
    return pd.DataFrame(
        [
            {
                "strategy": name,
                "fraction": 1.0,
                "train_seconds": value,
                "feature_seconds": 1.0,
                "device": "cpu",
            }
            for name, value in seconds.items()
        ]
    )


# Statistics


def test_image_bootstrap_draws_the_same_images_for_every_run():
    rows = np.array([answers(0.8, 0), answers(0.8, 0), ~answers(0.8, 0)])
    draws = st.image_bootstrap(rows, 500, seed=1)
    assert draws.shape == (500, 3)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])
    np.testing.assert_allclose(draws[:, 0] + draws[:, 2], 1)
    np.testing.assert_array_equal(draws[:, :1], st.image_bootstrap(rows[:1], 500, seed=1))


def test_image_bootstrap_does_not_depend_on_the_chunks(monkeypatch):
    rows = np.array([answers(0.7, 0), answers(0.6, 1)])
    whole = st.image_bootstrap(rows, 100, seed=1)
    monkeypatch.setattr(st, "_CHUNK_BYTES", 8 * 300 * 7)
    np.testing.assert_array_equal(whole, st.image_bootstrap(rows, 100, seed=1))


def test_bootstrap_of_a_single_seed_has_the_binomial_error():
    row = np.arange(400) < 320
    draws = st.bootstrap_mean(st.image_bootstrap(row[None], 20_000, seed=0), seed=0)
    assert draws.mean() == pytest.approx(0.8, abs=0.001)
    assert draws.std() == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.03)
    low, high = st.percentile_interval(draws)
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.003)


def test_bootstrap_over_seeds_has_the_error_of_a_mean_of_seeds():
    # No image varies within a seed, so only the seeds do: sd of the mean of 4 of {0, 0, 1, 1}.
    rows = np.repeat(np.array([[0], [0], [1], [1]], dtype=bool), 50, axis=1)
    draws = st.bootstrap_mean(st.image_bootstrap(rows, 20_000, seed=0), seed=0)
    assert draws.std() == pytest.approx(0.5 / np.sqrt(4), rel=0.03)


def test_bootstrap_matches_a_plain_loop():
    rng = np.random.default_rng(8)
    a, b = rng.random((3, 60)) < 0.8, rng.random((3, 60)) < 0.6
    loop = []
    for _ in range(4000):
        seeds, images = rng.integers(3, size=3), rng.integers(60, size=60)
        grid = np.ix_(seeds, images)
        loop.append(a[grid].mean() - b[grid].mean())
    draws = st.image_bootstrap(np.vstack([a, b]), 20_000, seed=0)
    fast = st.bootstrap_mean(draws[:, :3] - draws[:, 3:], seed=0)
    assert fast.std() == pytest.approx(np.std(loop), rel=0.05)
    assert st.percentile_interval(fast) == pytest.approx(st.percentile_interval(loop), abs=0.012)


def test_a_strategy_without_a_mistake_is_not_certain():
    """Every draw of all-correct answers is 1; the interval must still have a width."""
    perfect = np.ones((3, 100), dtype=bool)
    low, high = st.mean_interval(perfect, np.ones(1000))
    assert high == 1
    reference = binomtest(100, 100).proportion_ci(method="wilson")
    assert low == pytest.approx(reference.low)
    one_wrong = perfect.copy()
    one_wrong[0, 0] = False
    draws = st.bootstrap_mean(st.image_bootstrap(one_wrong, 1000, 0), 0)
    assert st.mean_interval(one_wrong, draws) == st.percentile_interval(draws)


def test_interval_of_a_difference_covers_the_truth():
    """Two strategies, three seeds, hard and easy images, seeds that differ: true gap 5 points."""
    rng, covered, repetitions = np.random.default_rng(2), 0, 100
    for seed in range(repetitions):
        image, shift = rng.normal(0, 0.1, 200), rng.normal(0, 0.01, (2, 3, 1))
        chance = np.array([0.75, 0.70])[:, None, None] + image + shift
        a, b = rng.random((2, 3, 200)) < chance
        draws = st.image_bootstrap(np.vstack([a, b]), 400, seed)
        low, high = st.percentile_interval(st.bootstrap_mean(draws[:, :3] - draws[:, 3:], seed))
        covered += low <= 0.05 <= high
    assert covered / repetitions >= 0.9


def test_bootstrap_p():
    draws = np.array([0.1] * 97 + [-0.1] * 2)
    assert st.bootstrap_p(draws) == pytest.approx(2 * 3 / 100)
    assert st.bootstrap_p(-draws) == st.bootstrap_p(draws)
    assert st.bootstrap_p(np.zeros(99)) == 1


def test_bootstrap_p_is_near_the_z_test():
    a, b = answers(0.80, 0, 800), answers(0.76, 1, 800)
    draws = st.image_bootstrap(np.array([a, b]), 20_000, seed=0)
    gap = a.astype(int) - b.astype(int)
    z = gap.mean() / (gap.std() / np.sqrt(800))
    assert st.bootstrap_p(draws[:, 0] - draws[:, 1]) == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04 times 3, 2, 1, then made non-decreasing.
    assert st.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert st.holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_the_exact_binomial_test(seed):
    a, b = answers(0.85, seed), answers(0.78, seed + 100)
    only_a, only_b, p = st.mcnemar(a, b)
    assert (only_a, only_b) == (np.sum(a & ~b), np.sum(b & ~a))
    assert p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_degenerate_cases():
    a = answers(0.5, 0)
    assert st.mcnemar(a, a) == (0, 0, 1.0)
    even = st.mcnemar(np.array([True, False]), np.array([False, True]))
    assert even == (1, 1, 1.0)


# Verdict


def test_clearly_different_strategies_are_distinguishable():
    data = correct(
        good=([0, 1], [answers(0.95, 0), answers(0.95, 1)]),
        bad=([0, 1], [answers(0.6, 2), answers(0.6, 3)]),
    )
    verdict = cp.compare(costs(good=20.0, bad=5.0), data, resamples=2000)
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


def test_identical_strategies_are_not_distinguishable():
    rows = [answers(0.9, 0), answers(0.9, 1)]
    verdict = cp.compare(
        costs(dear=60.0, cheap=4.0),
        correct(dear=([0, 1], rows), cheap=([0, 1], rows)),
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


def test_the_statement_in_full():
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


def test_ranking_holm_and_wilson_of_three_strategies():
    data = correct(
        worst=([0], [answers(0.70, 0)]),
        best=([0], [answers(0.90, 1)]),
        second=([0], [answers(0.88, 2)]),
    )
    verdict = cp.compare(costs(worst=1.0, best=9.0, second=9.0), data, resamples=3000)
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


def test_a_single_seed_is_said():
    data = correct(a=([0], [answers(0.9, 0)]), b=([0], [answers(0.7, 1)]))
    verdict = cp.compare(costs(a=1.0, b=1.0), data, resamples=500)
    assert verdict["n_seeds"] == 1
    assert verdict["statement"].endswith("One seed: seed-to-seed variation is not measured.")


def test_a_single_strategy():
    verdict = cp.compare(
        costs(only=1.0), correct(only=([0, 1], [answers(0.9, 0), answers(0.9, 1)])), resamples=200
    )
    assert verdict["comparisons"] == []
    assert verdict["statement"].startswith("only, the only strategy, reaches a mean accuracy of")


@pytest.mark.parametrize(
    ("floor", "words"),
    [(0.95, "does not beat"), (0.785, "is not distinguishable from"), (0.5, None)],
)
def test_the_majority_floor(floor, words):
    rows = np.array([np.arange(300) < 240])
    verdict = cp.compare(costs(a=1.0), correct(floor, a=([0], rows)), resamples=500)
    said = f"The best accuracy {words} that of always answering" if words else "One seed"
    assert said in verdict["statement"]


def test_unequal_seeds_pair_the_common_ones():
    a, b = [answers(0.9, s) for s in range(3)], [answers(0.8, s + 10) for s in range(2)]
    data = correct(a=([0, 1, 2], a), b=([5, 2], b))
    (pair,) = cp.compare(costs(a=1.0, b=1.0), data, resamples=500)["comparisons"]
    assert pair["difference"] == pytest.approx(a[2].mean() - b[1].mean())
    assert [test["seed"] for test in pair["mcnemar"]] == [2]


def test_disjoint_seeds_are_drawn_independently():
    easy, hard = np.ones(300, dtype=bool), answers(0.5, 0)
    shared = correct(a=([0, 1], [easy, hard]), b=([0, 1], [easy, hard]))
    disjoint = correct(a=([0, 1], [easy, hard]), b=([2, 3], [easy, hard]))
    runs = costs(a=1.0, b=1.0)
    (paired,) = cp.compare(runs, shared, resamples=500)["comparisons"]
    (unpaired,) = cp.compare(runs, disjoint, resamples=500)["comparisons"]
    assert (paired["low"], paired["high"]) == (0, 0)
    assert unpaired["low"] < -0.3 and unpaired["high"] > 0.3
    assert unpaired["mcnemar"] == [] and not unpaired["distinguishable"]


# Files


@pytest.fixture
def run_dirs(tmp_path):
    return [
        write_run(tmp_path, strategy, seed, answers(accuracy, 10 * rank + seed), fraction, seconds)
        for rank, (strategy, accuracy, fraction, seconds) in enumerate(
            [
                ("scratch", 0.7, 1.0, 60.0),
                ("full", 0.93, 1.0, 50.0),
                ("full", 0.8, 0.1, 8.0),
                ("head_only", 0.92, 1.0, 5.0),
            ]
        )
        for seed in (1, 0)
    ]


def test_runs_table_keeps_the_columns_and_the_given_order(run_dirs):
    runs = cp.runs_table(run_dirs)
    assert list(runs.columns) == cp.RUN_COLUMNS
    assert runs["strategy"].unique().tolist() == ["scratch", "full", "head_only"]
    full = runs[runs["strategy"] == "full"]
    assert full["fraction"].tolist() == [0.1, 0.1, 1.0, 1.0]
    assert full["seed"].tolist() == [0, 1, 0, 1]
    assert (runs["feature_seconds"] == 0).all() and (runs["n_test"] == 300).all()


def test_a_run_given_twice(run_dirs):
    with pytest.raises(HeadstartError, match="two runs are scratch, fraction 1, seed 1"):
        cp.runs_table([*run_dirs, run_dirs[0]])


def test_summary_agrees_with_the_verdict(run_dirs):
    runs, data = cp.runs_table(run_dirs), cp.load_correct(run_dirs)
    summary = cp.summarize(runs, data, resamples=1000)
    verdict = cp.compare(runs, data, resamples=1000)
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


def test_predictions_are_aligned_by_id(tmp_path):
    right = answers(0.8, 0)
    order = np.random.default_rng(0).permutation(300)
    plain = write_run(tmp_path, "a", 0, right)
    shuffled = write_run(
        tmp_path, "b", 0, right[order], ids=[IMAGES[i] for i in order], labels=LABELS[order]
    )
    data = cp.load_correct([plain, shuffled])
    assert data.ids == IMAGES
    np.testing.assert_array_equal(data.cells["a", 1.0].right, data.cells["b", 1.0].right)
    np.testing.assert_array_equal(data.cells["a", 1.0].right[0], right)


def test_runs_on_different_test_images_are_named(tmp_path):
    one = write_run(tmp_path, "a", 0, answers(0.8, 0))
    other = write_run(tmp_path, "b", 0, answers(0.8, 0), ids=[*IMAGES[:-1], "stranger"])
    with pytest.raises(HeadstartError, match="different test images") as error:
        cp.load_correct([one, other])
    assert str(one) in str(error.value) and str(other) in str(error.value)
    assert "rerun evaluate" in str(error.value)


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "predictions.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    run = write_run(tmp_path, "a", 0, answers(0.8, 0))
    (run / name).unlink()
    with pytest.raises(HeadstartError, match=f"{name}: missing"):
        cp.load_correct([run])


def test_no_runs_at_all():
    with pytest.raises(HeadstartError, match="no runs to compare"):
        cp.load_correct([])


def test_verdict_table(run_dirs):
    runs, data = cp.runs_table(run_dirs), cp.load_correct(run_dirs)
    summary = cp.summarize(runs, data, resamples=200)
    verdict = cp.compare(runs, data, resamples=200)
    lines = cp.verdict_table(verdict, summary).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines[0]) <= 100
    assert [line.split()[0] for line in lines[2:]] == [e["strategy"] for e in verdict["strategies"]]
    assert "1 min 00 s" in lines[-1] and lines[-1].endswith("2,562")
    long = "x" * 120
    entry = {**verdict["strategies"][0], "strategy": long}
    renamed = summary.assign(strategy=long).iloc[[0]]
    wide = cp.verdict_table({**verdict, "strategies": [entry]}, renamed)
    assert max(map(len, wide.splitlines())) == 100 and "…" in wide


def test_duration():
    assert [duration(s) for s in (0.04, 59.96, 185, 7630)] == [
        "0.0 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 07 min",
    ]
