"""The verdict is as right as it says in simulated studies; the long version is a benchmark."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import coverage  # noqa: E402


def test_the_simulation_has_the_accuracy_and_the_spread_that_it_names():
    cell = coverage.Cell(400, 3, (0.9, 0.87), 2.0)
    rights, truths = zip(*coverage.simulated(cell, 300), strict=True)
    assert np.mean(rights, axis=(0, 2, 3)) == pytest.approx([0.9, 0.87], abs=0.006)
    assert truths[0].tolist() == [0.9, 0.87]
    flips = np.mean([right[:, 0] != right[:, 1] for right in rights], axis=(0, 2))
    assert 0.05 < flips[0] < 0.1
    between = np.array([right.mean(axis=2) for right in rights])
    shared = np.var(between, axis=2, ddof=1).mean(axis=0)[0]
    alone = np.mean(flips) / 2 / 400
    assert np.sqrt(shared - alone) == pytest.approx(0.02, rel=0.25)


def test_intervals_hold_the_truth_and_answers_are_seldom_wrong(tmp_path):
    missed = [row.line() for row in coverage.rows(tmp_path, quick=True) if not row.met]
    assert not missed
