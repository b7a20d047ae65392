"""The benchmark's table and formulas, and one small row from end to end."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import bench  # noqa: E402
import delivery  # noqa: E402
import parity  # noqa: E402
import pipeline  # noqa: E402
import scaling  # noqa: E402
import small_job  # noqa: E402
from table import RATE, SECONDS, Row, compared  # noqa: E402


def test_a_missed_bar_is_marked_and_fails_the_run():
    fast = compared("fast", [30.0, 10.0, 20.0], [4.0, 5.0, 6.0], 4.0, RATE)
    slow = compared("slow", [3.0, 2.0, 1.0], [1.0, 1.0, 1.0], 2.5, RATE)
    assert (fast.value, slow.value) == (4.0, 2.0)
    assert fast.met and not slow.met
    assert fast.line().endswith("| yes |") and slow.line().endswith("| **no** |")
    assert bench.exit_status([fast]) == 0 and bench.exit_status([fast, slow]) == 1


def test_fewer_seconds_are_better_and_some_bars_bound_from_above():
    assert compared("s", [2.0], [8.0], 3.0, SECONDS).value == 4.0
    assert not Row("share", 0.2, 0.15, "", "", at_most=True).met
    assert Row("share", 0.1, 0.15, "", "", at_most=True).met
    assert Row("shown only", 99.0, None, "", "", at_most=True).met


def test_the_pipeline_s_own_share_by_hand():
    """Jobs at 1-4, at 2-6 beside it, and at 8-9: busy for 6 of 10 seconds."""
    assert pipeline.cost(10.0, [(2.0, 6.0), (1.0, 4.0), (8.0, 9.0)]) == pytest.approx(0.4)


def test_what_is_outside_of_the_step():
    assert small_job.outside_share(wall=10.0, step=7.5) == 0.25


def test_the_tutorial_s_accuracy_is_held_at_the_interval_s_lower_end():
    """The same answers differ by nothing; 500 more right of 2,000, in each seed, by 25 points."""
    theirs = np.array([np.arange(2000) % 2 == 0] * 3)
    ours = theirs | (np.arange(2000) % 4 == 1)
    same = parity.difference(theirs, theirs)
    assert "difference 0 [" in same.ours and same.met
    row = parity.difference(ours, theirs)
    assert "75.0 %, difference 25 [" in row.ours and 22 < row.value < 25 and row.met
    assert -28 < parity.difference(theirs, ours).value < -25
    assert not parity.difference(theirs, ours).met


def test_epochs_until_a_cache_is_repaid():
    assert delivery.epochs_to_repay(build=3.0, ours=1.0, theirs=2.5) == 2.0
    assert delivery.epochs_to_repay(build=3.0, ours=2.0, theirs=2.0) == float("inf")


def test_a_line_is_fitted_as_numpy_fits_it():
    images, seconds = [1000, 3000, 10_000], [1.3, 3.1, 10.2]
    line = scaling.fit(images, seconds)
    slope, intercept = np.polyfit(images, seconds, 1)
    assert (line.slope, line.intercept) == (pytest.approx(slope), pytest.approx(intercept))
    residuals = np.abs(np.polyval([slope, intercept], images) - seconds)
    assert line.largest_residual == pytest.approx(residuals.max() / 10.2)
    assert line.r_squared == pytest.approx(np.corrcoef(images, seconds)[0, 1] ** 2)


def test_delivery_is_measured_end_to_end(tmp_path):
    rows = delivery.measured(tmp_path, images=16, repeats=1)
    assert [row.bar for row in rows] == [4.0, 15.0, 2.0]
    assert all(row.value > 0 for row in rows)
