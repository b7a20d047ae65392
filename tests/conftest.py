"""Fixtures that several test modules share."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; threads only wait for each other
os.environ.pop("MLFLOW_TRACKING_URI", None)

import pytest  # noqa: E402

from headstart.compute import devices  # noqa: E402
from headstart.experiment import (
    config,  # noqa: E402
    loading,  # noqa: E402
)

_TINY = {
    "experiment": "tiny",
    "dataset": {"source": "folder", "path": "images"},
    "training": {"batch_size": 8, "precision": "fp32"},
    "strategies": {
        "full": {"init": "pretrained", "phases": [{"train": "all", "epochs": 2, "lr": 0.01}]}
    },
}


@pytest.fixture(autouse=True)
def no_store_left_behind() -> Iterator[None]:
    """MLflow writes the store in use to the environment, where the next test would find it."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture
def make_phase() -> Callable[..., config.Phase]:
    """A phase with the schema's defaults and the given settings."""
    (phase,) = loading.from_dict(_TINY).strategies["full"].phases
    return lambda **settings: replace(phase, **settings)


@pytest.fixture
def make_strategy(make_phase: Callable[..., config.Phase]) -> Callable[..., config.Strategy]:
    """A strategy of the given phases, each a dictionary, and training settings."""
    strategy = loading.from_dict(_TINY).strategies["full"]

    def make(*phases: dict, **training: object) -> config.Strategy:
        return replace(
            strategy,
            phases=tuple(make_phase(**phase) for phase in phases),
            training=replace(strategy.training, **training),
        )

    return make


@pytest.fixture
def cpu() -> devices.Device:
    return devices.Device("cpu", "test CPU", "", "fp32", 1)


@pytest.fixture
def gpu() -> devices.Device:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU is visible")
    return devices.open_device("auto", 1)


@pytest.fixture(params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest) -> devices.Device:
    """The CPU, and the GPU where there is one."""
    found: devices.Device = request.getfixturevalue(request.param)
    return replace(found, precision="fp32")
