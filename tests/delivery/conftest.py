"""One exported run for most tests of the delivery, and a small network for the others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_delivery import LITE0, Experiment

from headstart import cli
from headstart.experiment import config
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog

FLIPS = ("horizontal", "vertical")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with results/cells, exported and registered there, and its store."""
    home = tmp_path_factory.mktemp("delivery")
    before = Path.cwd()
    os.chdir(home)
    try:
        _finish(home)
        assert cli.main(["export", "results/cells", "--register", "solar cells"]) == 0
    finally:
        os.chdir(before)
    yield home


def _finish(home: Path) -> None:
    cells = Experiment(home / "results/cells", LITE0, 64)
    store = connection.prepare(Path("results/mlflow"), "cells")
    log = RunLog.start(store, "full/seed-1", {}, {})
    log.end()
    model = cells.model(1)
    told = {"flips": FLIPS, "temperature": 1.7, "mlflow_run_id": log.run_id}
    cells.add("full", model, seed=1, **told)
    cells.add("full", model, seed=2)
    cells.add("scratch", model)
    cells.add("ensemble", None, derived="ensemble")
    cells.decide("ensemble", "full")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment whose network is exported in a second; a vote of neighbours leads."""
    backbone = config.Backbone("test_resnet", "timm", "none")
    experiment = Experiment(tmp_path_factory.mktemp("small") / "results/small", backbone, 48)
    experiment.add("knn", experiment.neighbours(), flips=("horizontal",))
    experiment.decide("knn", None)
    return experiment


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home
