"""What the tests of training share."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from small_training import IMAGE, SIZE, TRAINED, N

from headstart import HeadstartError
from headstart.data.cache import ImageCache
from headstart.models import backbones
from headstart.training import checkpoints, jobs, runs


@pytest.fixture(autouse=True)
def saved_after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> ImageCache:
    """Bright and dark images by turns, under noise."""
    root = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    level = np.where(np.arange(N) % 2, 60, 190)[:, None, None, None]
    pixels = (level + rng.normal(0, 25, (N, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    (root / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k:02d},{k * SIZE * SIZE * 3},{SIZE},{SIZE},{k}" for k in range(N)]
    (root / "index.csv").write_text("\n".join(["id,offset,height,width,sha256", *rows]) + "\n")
    return ImageCache.open(root / "images.bin", root / "index.csv")


@pytest.fixture
def files(cache, tmp_path) -> jobs.TrainingFiles:
    torch.manual_seed(0)
    model = backbones.create("test_resnet", "timm", 2)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    description = {
        "name": "test_resnet",
        "library": "timm",
        "stem": "standard",
        "weights": "w",
        "weights_sha256": "0",
        "image": IMAGE,
        "num_features": model.get_classifier().in_features,
    }
    (tmp_path / "backbone.json").write_text(json.dumps(description))
    (tmp_path / "classes.json").write_text('["bright", "dark"]')
    frame = pd.DataFrame({"id": cache.ids})
    frame["label"] = ["bright", "dark"] * (N // 2)
    frame["split"] = ["train"] * TRAINED + ["val"] * (N - TRAINED)
    frame.to_csv(tmp_path / "train_val.csv", index=False)
    (tmp_path / "tracking.json").write_text('{"uri": "sqlite:///none.db", "experiment_id": "0"}')
    images, index = cache.__reduce__()[1]
    return jobs.TrainingFiles(
        backbone=tmp_path / "backbone.json",
        weights=tmp_path / "w.safetensors",
        train_val=tmp_path / "train_val.csv",
        classes=tmp_path / "classes.json",
        images=images,
        index=index,
        tracking=tmp_path / "tracking.json",
    )


@pytest.fixture
def outputs(tmp_path) -> jobs.RunFiles:
    names = ("m.safetensors", "h.csv", "r.json", "resume.pt")
    return jobs.RunFiles(*(tmp_path / name for name in names))


class FakeLog:
    """Stands for RunLog: remembers the epochs it is given, and forgets runs."""

    started: list["FakeLog"]

    def __init__(self) -> None:
        self.run_id = f"run-{len(self.started)}"
        self.steps: list[int] = []
        self.started.append(self)

    @classmethod
    def start(cls, *_: object) -> "FakeLog":
        return cls()

    @classmethod
    def open(cls, _: object, run_id: str) -> "FakeLog":
        raise HeadstartError(f"MLflow run {run_id} is gone")

    def epochs(self, history: list[dict[str, float]]) -> None:
        self.steps = [int(row["epoch"]) for row in history]

    def nothing(self, *_: object) -> None:
        pass

    dataset = files = model = end = metrics = nothing

    def ending(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@pytest.fixture
def fake_logs(monkeypatch) -> list[FakeLog]:
    """The logs that trainings start from here on, none of them MLflow's."""
    FakeLog.started = []
    monkeypatch.setattr(runs, "RunLog", FakeLog)
    return FakeLog.started
