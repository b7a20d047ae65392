"""Several processes train as one does, and none outlives the failure of another."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.nn import functional as F

from headstart import HeadstartError, logs
from headstart.compute import devices, parallel
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.training import checkpoints, loop, losses
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import Examples, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader

SIZE, TRAIN, VAL = 16, 23, 8
IMAGE = {
    "size": SIZE,
    "resize": SIZE,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}
CPU = devices.Device("cpu", "test CPU", "", "fp32", 1)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def cache(tmp_path) -> ImageCache:
    """Noisy images; the second class, a third of them, is a little brighter."""
    n = TRAIN + VAL
    rng = np.random.default_rng(0)
    level = np.where(np.arange(n) % 3 == 1, 150, 110)[:, None, None, None]
    pixels = (level + rng.normal(0, 30, (n, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    (tmp_path / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k:02d},{k * SIZE * SIZE * 3},{SIZE},{SIZE},{k}" for k in range(n)]
    (tmp_path / "index.csv").write_text("\n".join(["id,offset,height,width,sha256", *rows]) + "\n")
    return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")


def small_model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(3, 8, 3, 2))
    model.add_module("norm", nn.GroupNorm(2, 8))
    model.add_module("act", nn.ReLU())
    model.add_module("pool", nn.AdaptiveAvgPool2d(2))
    model.add_module("flat", nn.Flatten())
    model.add_module("fc", nn.Linear(32, 2))
    return model


class Diary(Journal):
    """Notes its calls, and kills its process right after the epoch `stop_after` was saved."""

    def __init__(self, resume: ResumeFile, stop_after: int) -> None:
        super().__init__(resume)
        self.calls: list[str | int] = []
        self.stop_after = stop_after

    def _begin(self, progress: Progress) -> None:
        super()._begin(progress)
        self.calls.append("begin")

    def _save(self, progress: Progress) -> None:
        super()._save(progress)
        self.calls.append(progress.epoch)
        if progress.epoch == self.stop_after:
            os.kill(os.getpid(), signal.SIGKILL)


def batches_of(cache: ImageCache) -> ImageBatches:
    """Batches of 6, the last of 5."""
    rows = {"train": np.arange(TRAIN), "val": np.arange(TRAIN, TRAIN + VAL)}
    labels = {part: (positions % 3 == 1).astype(np.int64) for part, positions in rows.items()}
    plain = augmentation.evaluation_transform(IMAGE)
    reader = Reader(cache, Normalizer(IMAGE, CPU))
    policy, sampling = Policy([plain], plain), Sampling(6, "uniform", 0)
    return ImageBatches(reader, Examples(rows, labels), policy, sampling)


def fit(folder: Path, cache: ImageCache, strategy: config.Strategy, stop_after: int = 0) -> None:
    """Train; each process leaves what it came to.

    With `stop_after`, the first process kills itself right after that epoch was saved.
    """
    batches = batches_of(cache)
    assert batches.sizes == [6, 6, 6, 5]
    model = small_model()
    loss = losses.loss_function(strategy.training, batches.examples.labels["train"], CPU)
    task = Task(model, loss, strategy.training, CPU, batches.resident)
    checkpoints.PAUSE = 0  # in a process of its own
    diary = Diary(ResumeFile(folder / "resume.pt", "key"), stop_after)
    progress = loop.fit(task, batches, strategy, 0, diary)
    made = {
        "history": progress.history,
        "model": model.state_dict(),
        "best": progress.best_model,
        "calls": diary.calls,
    }
    torch.save(made, folder / f"{parallel.world()}-{parallel.rank()}.pt")


def launch(processes: int, folder: Path, function, *arguments) -> None:
    parallel.launch(processes, folder / "log.txt", function, folder, *arguments)


def assert_close(one: dict, other: dict) -> None:
    """Equal but for rounding."""
    for mine, theirs in zip(one["history"], other["history"], strict=True):
        for key in mine.keys() - {"seconds", "images_per_second"}:
            assert theirs[key] == pytest.approx(mine[key], rel=1e-5), key
    for part in ("model", "best"):
        assert list(one[part]) == list(other[part])
        for key in one[part]:
            torch.testing.assert_close(other[part][key], one[part][key], rtol=1e-4, atol=1e-6)


def fit_all(folder: Path, cache: ImageCache, strategies: list[config.Strategy]) -> None:
    for number, strategy in enumerate(strategies):
        (folder / str(number)).mkdir(exist_ok=True)
        fit(folder / str(number), cache, strategy)


def test_two_processes_train_as_one(cache, make_strategy, tmp_path):
    """Through a phase of the head and one of all, in batches of which the last is odd."""
    phase = {"optimizer": "sgd", "lr": 0.05, "schedule": "one_cycle"}
    phases = [{"train": "head", "epochs": 2} | phase, {"epochs": 3} | phase]
    weighted = {"class_weights": "balanced"}
    strategies = [
        make_strategy(*phases, gradient_clip=0.5, label_smoothing=0.1),
        make_strategy(*phases, **weighted),
        make_strategy(*phases, **weighted, loss="bce_with_logits", loss_reduction="sum"),
    ]
    fit_all(tmp_path, cache, strategies)
    for file in tmp_path.glob("*/resume.*"):
        file.unlink()
    launch(2, tmp_path, fit_all, cache, strategies)
    for number in range(len(strategies)):
        one, first, second = (
            torch.load(tmp_path / f"{number}/{name}.pt") for name in ("1-0", "2-0", "2-1")
        )
        assert one["history"][-1]["train_loss"] < one["history"][0]["train_loss"]
        assert_close(one, first)
        assert all(torch.equal(first["model"][k], second["model"][k]) for k in first["model"])
        assert first["calls"] == ["begin", 1, 2, 3, 4, 5] and second["calls"] == []


def test_a_killed_training_goes_on_where_it_stopped(cache, make_strategy, tmp_path):
    phase = {"optimizer": "sgd", "lr": 0.05, "schedule": "cosine"}
    strategy = make_strategy({"train": "head", "epochs": 2} | phase, {"epochs": 2} | phase)
    (tmp_path / "whole").mkdir()
    fit(tmp_path / "whole", cache, strategy)
    started = time.monotonic()
    with pytest.raises(HeadstartError) as caught:
        launch(2, tmp_path, fit, cache, strategy, 3)
    assert time.monotonic() - started < 40
    text = str(caught.value)
    assert text.startswith("process 0 terminated with signal SIGKILL, so the others were stopped")
    assert "\n" not in text
    launch(2, tmp_path, fit, cache, strategy)
    resumed = torch.load(tmp_path / "2-0.pt")
    assert resumed["calls"] == ["begin", 4]
    assert_close(torch.load(tmp_path / "whole/1-0.pt"), resumed)


# ---- shares ----------------------------------------------------------------------------------

WEIGHTS = torch.tensor([0.2, 1.0, 3.0])


def share_out(folder: Path) -> None:
    inputs = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([0, 0, 1, 2, 2, 1, 0])
    torch.manual_seed(parallel.rank())  # wrapping makes the models equal
    model = parallel.wrap(nn.Linear(4, 3))
    logits = parallel.gathered(model(parallel.shard(inputs)), 7)
    assert torch.equal(parallel.gathered(parallel.shard(targets), 7), targets)
    F.cross_entropy(logits, targets, WEIGHTS).backward()
    share = parallel.shard(np.arange(7)).tolist()
    gradients = [p.grad for p in model.parameters()]
    torch.save((share, logits.detach(), gradients), folder / f"{parallel.rank()}.pt")
    with pytest.raises(HeadstartError, match=r"3 GPUs cannot share a batch of 2: lower"):
        parallel.shard(range(2))


def test_shares_make_up_the_batch_and_its_gradient(tmp_path):
    """A weighted mean over an odd batch: neither a mean of means nor one by counts gives it."""
    launch(3, tmp_path, share_out)
    shares, logits, gradients = zip(
        *(torch.load(tmp_path / f"{rank}.pt") for rank in range(3)), strict=True
    )
    assert shares == ([0, 1, 2], [3, 4], [5, 6])
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    wanted = model(torch.randn(7, 4, generator=torch.Generator().manual_seed(1)))
    F.cross_entropy(wanted, torch.tensor([0, 0, 1, 2, 2, 1, 0]), WEIGHTS).backward()
    for rank in range(3):
        torch.testing.assert_close(logits[rank], wanted.detach())
        torch.testing.assert_close(gradients[rank], [p.grad for p in model.parameters()])


def test_alone_everything_stays_as_it_is():
    model, batch = small_model(), torch.arange(5)
    assert parallel.wrap(model) is model
    assert parallel.shard(batch).tolist() == [0, 1, 2, 3, 4]
    assert parallel.gathered(batch, 5) is batch
    assert (parallel.world(), parallel.rank()) == (1, 0)


# ---- failures --------------------------------------------------------------------------------


def fail(folder: Path, error: Exception) -> None:
    logging.getLogger("headstart").info("process %d is here", parallel.rank())
    if parallel.rank() == 1:
        raise error
    distributed.barrier()  # the first waits for the one that never comes


@pytest.mark.parametrize(
    ("error", "kind", "pattern"),
    [
        (HeadstartError("lower the rate"), HeadstartError, "^lower the rate$"),
        (ZeroDivisionError("a bug"), Exception, r"(?s)Traceback.*in fail\n.*Error: a bug\n$"),
    ],
)
def test_one_failure_ends_all_at_once(tmp_path, error, kind, pattern):
    with logs.job(tmp_path / "log.txt"):
        started = time.monotonic()
        with pytest.raises(kind, match=pattern):
            launch(2, tmp_path, fail, error)
        assert time.monotonic() - started < 40
    log = (tmp_path / "log.txt").read_text()
    assert "training in 2 processes" in log and "process 0 is here" in log
    assert "process 1 is here" not in log


ORPHANS = """
import sys
from pathlib import Path
from test_parallel import parallel, wait
if __name__ == "__main__":
    parallel.launch(2, "/dev/null", wait, Path(sys.argv[1]))
"""


def wait(folder: Path) -> None:
    (folder / f"{os.getpid()}.pid").touch()
    if parallel.rank() == 0:
        distributed.barrier()
    time.sleep(600)


def test_a_killed_job_leaves_no_process_behind(tmp_path):
    (tmp_path / "job.py").write_text(ORPHANS)
    paths = os.pathsep.join(path for path in sys.path if path)
    job = subprocess.Popen(
        [sys.executable, str(tmp_path / "job.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths},
    )
    try:
        while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2:
            assert job.poll() is None
            time.sleep(0.1)
    finally:
        job.kill()
        job.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
