"""Fixtures that several test modules share."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; threads only wait for each other
os.environ.pop("MLFLOW_TRACKING_URI", None)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from headstart.compute import devices  # noqa: E402
from headstart.experiment import (
    config,  # noqa: E402
    loading,  # noqa: E402
)

if TYPE_CHECKING:
    from torch import nn

    from headstart.data.cache import ImageCache

settings.register_profile("faults", max_examples=1000)  # ten times as many as usual

_SIZE = 32
_TINY = {
    "experiment": "tiny",
    "dataset": {"source": "folder", "path": "images"},
    "augmentation": [],
    "training": {"batch_size": 8, "precision": "fp32"},
    "strategies": {
        "full": {"init": "pretrained", "phases": [{"train": "all", "epochs": 2, "lr": 0.01}]}
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the workflow's tests, the longest group, which one process runs by itself."""
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)


@pytest.fixture(autouse=True)
def no_store_left_behind() -> Iterator[None]:
    """MLflow writes the store in use to the environment, where the next test would find it."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture
def make_phase() -> Callable[..., config.Phase]:
    """A phase with the schema's defaults, batch statistics and the given settings."""
    (phase,) = loading.from_dict(_TINY).strategies["full"].phases
    usual = {"norm": "batch"}
    return lambda **settings: replace(phase, **(usual | settings))


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


@pytest.fixture(scope="session")
def make_model() -> Callable[..., "nn.Module"]:
    """A network by library, name and number of classes: always the same, in eval mode."""
    import torch

    from headstart.models import backbones

    def make(library: str, name: str, classes: int = 3) -> "nn.Module":
        torch.manual_seed(0)
        return backbones.create(name, library, classes).eval()

    return make


@pytest.fixture
def image() -> dict[str, Any]:
    """Preprocessing that leaves the images of `make_cache` as they are."""
    return {
        "size": _SIZE,
        "resize": _SIZE,
        "interpolation": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }


@pytest.fixture
def make_cache(tmp_path: Path) -> Callable[[int], "ImageCache"]:
    """A cache of so many images of noise."""

    def make(n: int) -> "ImageCache":
        from headstart.data.cache import ImageCache

        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (n, _SIZE, _SIZE, 3), dtype=np.uint8)
        (tmp_path / "images.bin").write_bytes(pixels.tobytes())
        rows = [f"i{k},{k * _SIZE * _SIZE * 3},{_SIZE},{_SIZE},{k}" for k in range(n)]
        (tmp_path / "index.csv").write_text(
            "\n".join(["id,offset,height,width,sha256", *rows]) + "\n"
        )
        return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")

    return make
