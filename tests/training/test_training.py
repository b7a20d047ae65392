"""Training: it learns, it repeats itself bit for bit, and an interruption changes nothing."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from headstart import HeadstartError, tracking
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.models import backbones, layers, layouts
from headstart.training import checkpoints, inputs, loop, losses, runs
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.views import augmentation
from headstart.views.batches import FeatureBatches, ImageBatches, Normalizer

SIZE, N = 16, 18
IMAGE = {
    "size": SIZE,
    "resize": SIZE,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}
POLICY = [config.Transform("horizontal_flip", (("p", 0.5),))]
LP_FT = [
    {"train": "head", "epochs": 2, "lr": 0.05, "schedule": "one_cycle"},
    {"train": "all", "epochs": 3, "lr": 0.005, "head_lr_multiplier": 3, "schedule": "one_cycle"},
]
TIMES = {"seconds", "images_per_second"}


class Interrupted(Exception):
    pass


@pytest.fixture(autouse=True)
def saved_after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> ImageCache:
    """Bright and dark images by turns, under noise."""
    root = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    level = np.where(np.arange(N) % 2, 60, 190)[:, None, None, None]
    pixels = (level + rng.normal(0, 25, (N, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    (root / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k:02d},{k * SIZE * SIZE * 3},{SIZE},{SIZE}" for k in range(N)]
    (root / "index.csv").write_text("\n".join(["id,offset,height,width", *rows]) + "\n")
    return ImageCache.open(root / "images.bin", root / "index.csv")


def small_model(seed: int = 0) -> nn.Module:
    """A body with BatchNorm, a dropout that draws random numbers, and a head."""
    torch.manual_seed(seed)
    model = nn.Sequential()
    model.add_module("conv", nn.Conv2d(3, 4, 3, 2))
    model.add_module("norm", nn.BatchNorm2d(4))
    model.add_module("act", nn.ReLU())
    model.add_module("pool", nn.AdaptiveAvgPool2d(2))
    model.add_module("flat", nn.Flatten())
    model.add_module("drop", nn.Dropout(0.3))
    model.add_module("fc", nn.Linear(16, 2))
    return model


def image_batches(cache: ImageCache, cpu, seed: int = 0) -> ImageBatches:
    rows = {"train": np.arange(12), "val": np.arange(12, N)}
    return ImageBatches(
        cache,
        rows,
        {part: positions % 2 for part, positions in rows.items()},
        {
            "train": augmentation.training_transform(POLICY, IMAGE),
            "val": augmentation.evaluation_transform(IMAGE),
        },
        Normalizer(IMAGE, cpu),
        batch_size=4,
        sampling="uniform",
        seed=seed,
    )


def fit(batches, strategy, cpu, resume: Path, *, stop_after: int = 0, seed: int = 0, model=None):
    """Train a small model; with `stop_after`, die right after that epoch was saved."""
    model = model or small_model(seed)
    loss = losses.loss_function(strategy.training, np.array([0, 1]), cpu)

    def on_save(progress: Progress) -> None:
        if progress.epoch == stop_after:
            raise Interrupted

    progress = loop.fit(
        model,
        batches,
        strategy,
        loss,
        cpu,
        seed,
        ResumeFile(resume, "key"),
        lambda p: None,
        on_save,
    )
    return model, progress


def assert_same(one: tuple[nn.Module, Progress], other: tuple[nn.Module, Progress]) -> None:
    states = one[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    best = one[1].best_model, other[1].best_model
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])
    assert (one[1].epoch, one[1].best_epoch) == (other[1].epoch, other[1].best_epoch)
    histories = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in progress.history]
        for _, progress in (one, other)
    ]
    assert histories[0] == histories[1]


# ---- the loop --------------------------------------------------------------------------------


def test_a_separable_problem_is_learnt(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy({"epochs": 12, "lr": 0.02})
    _, progress = fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt")
    assert progress.history[-1]["val_accuracy"] == 1.0
    assert progress.history[-1]["train_loss"] < 0.5 * progress.history[0]["train_loss"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_seed_decides_every_bit(cache, cpu, make_strategy, tmp_path, optimizer):
    strategy = make_strategy(*({**phase, "optimizer": optimizer} for phase in LP_FT))
    made = []
    for number, seed in enumerate([3, 3, 4]):
        torch.manual_seed(number)
        batches = image_batches(cache, cpu, seed)
        made.append(fit(batches, strategy, cpu, tmp_path / f"{number}.pt", seed=seed))
    assert_same(made[0], made[1])
    assert not torch.equal(made[0][0].fc.weight, made[2][0].fc.weight)


class Noise:
    """Two batches of noise."""

    sizes: ClassVar = [8, 8]
    resident = False

    def train(self, epoch: int):
        draws = torch.Generator().manual_seed(0)
        for size in self.sizes:
            images = torch.randn(size, 3, 64, 64, dtype=torch.float64, generator=draws)
            yield images, torch.arange(size) % 2

    def val(self):
        return self.train(0)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_training_is_a_plain_loop_s_only_faster(cpu, make_strategy, tmp_path, name):
    """Memory layout, in-place activations and fused steps leave the weights as they would be.

    In double precision: a new network magnifies single precision's rounding beyond comparison.
    """
    phase = {"epochs": 1, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0}
    torch.manual_seed(0)
    whole = backbones.create(name, "timm", 2).double()
    plain = copy.deepcopy(whole).train()
    model = layouts.place(whole, cpu, whole.get_submodule(layers.head_name(whole)))
    fit(Noise(), make_strategy(phase), cpu, tmp_path / "r.pt", model=model)

    optimizer = torch.optim.SGD(plain.parameters(), 1e-3, momentum=0.9)
    for images, targets in Noise().train(1):
        optimizer.zero_grad()
        F.cross_entropy(plain(images).float(), targets).backward()
        optimizer.step()
    wanted = plain.state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, wanted[key], rtol=1e-4, atol=1e-6)


STRATEGIES = {
    "lp_ft": LP_FT,
    "sgd_cosine": [
        {"epochs": 3, "optimizer": "sgd", "schedule": "cosine"},
        {"train": "head", "epochs": 2, "optimizer": "adam", "schedule": "step"},
    ],
    "full_then_head": [{"epochs": 3}, {"train": "head", "epochs": 2, "schedule": "cosine"}],
}


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", STRATEGIES)
def test_an_interruption_changes_nothing(cache, cpu, make_strategy, tmp_path, name, stop):
    """Stopped within, between and at the end of phases; clipping would see left-over gradients."""
    strategy = make_strategy(*STRATEGIES[name], gradient_clip=0.05)
    batches = image_batches(cache, cpu)
    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt")
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=stop)
    torch.manual_seed(12345)
    resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt")
    assert [row["epoch"] for row in resumed[1].history] == [1, 2, 3, 4, 5]
    assert_same(whole, resumed)


def test_a_run_may_die_after_every_epoch(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy(*LP_FT)
    batches = image_batches(cache, cpu)
    for epoch in range(1, 6):
        with pytest.raises(Interrupted):
            fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=epoch)
    resumed = fit(batches, strategy, cpu, tmp_path / "cut.pt")
    assert_same(fit(batches, strategy, cpu, tmp_path / "whole.pt"), resumed)


def test_training_on_features_resumes_too(cpu, make_strategy, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, N, 6)).astype(np.float32)
    features[:, ::2, 0] += 2
    rows = {"train": np.arange(13), "val": np.arange(13, N)}
    labels = {part: positions % 2 for part, positions in rows.items()}
    batches = FeatureBatches(features, rows, labels, cpu, 4, "balanced", 0)
    strategy = make_strategy({"train": "head", "epochs": 5, "schedule": "one_cycle"})

    def head() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("head", nn.Linear(6, 2))
        return model

    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt", model=head())
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=3, model=head())
    assert_same(whole, fit(batches, strategy, cpu, tmp_path / "cut.pt", model=head()))


def test_short_epochs_are_not_all_saved(cache, cpu, make_strategy, tmp_path, monkeypatch):
    """The first and the last are, and a kill between loses no more than the epochs since."""
    monkeypatch.setattr(checkpoints, "PAUSE", 1e6)
    saved = []
    save = ResumeFile.save
    monkeypatch.setattr(ResumeFile, "save", lambda *a: (saved.append(a[1].epoch), save(*a)))
    batches, strategy = image_batches(cache, cpu), make_strategy(*LP_FT)
    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt")
    assert saved == [1, 5]
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=1)
    assert_same(whole, fit(batches, strategy, cpu, tmp_path / "cut.pt"))


def test_history_has_its_columns_and_phases(cache, cpu, make_strategy, tmp_path):
    _, progress = fit(image_batches(cache, cpu), make_strategy(*LP_FT), cpu, tmp_path / "r.pt")
    assert list(progress.history[0]) == [
        "epoch", "phase", "lr", "train_loss", "train_accuracy",
        "images_per_second", "val_loss", "val_accuracy", "seconds",
    ]  # fmt: skip
    assert [row["phase"] for row in progress.history] == [0, 0, 1, 1, 1]
    for row in progress.history:
        assert row["seconds"] > 0 and row["images_per_second"] > 0
        assert 0 <= row["train_accuracy"] <= 1 and row["val_loss"] > 0


def test_reported_losses_are_those_of_the_model(cache, cpu, make_strategy, tmp_path):
    batches = image_batches(cache, cpu)
    model, progress = fit(batches, make_strategy({"epochs": 3}), cpu, tmp_path / "r.pt")
    model.eval()
    images, labels = next(batches.val())  # first of two batches, so weigh both by size
    rest, others = list(batches.val())[1]
    with torch.no_grad():
        logits = model(torch.cat([images, rest]))
    labels = torch.cat([labels, others])
    assert progress.history[-1]["val_loss"] == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-5
    )
    assert progress.history[-1]["val_accuracy"] == (logits.argmax(1) == labels).double().mean()


class Scripted:
    """Batches whose validation result a script decides: (accuracy of 10, confidence) by epoch."""

    sizes: ClassVar = [2]
    resident = False

    def __init__(self, script: list[tuple[int, float]]) -> None:
        self.script = iter(script)

    def train(self, epoch: int):
        yield torch.zeros(2, 1), torch.tensor([0, 1])

    def val(self):
        right, confidence = next(self.script)
        inputs = torch.full((10, 1), confidence)
        yield inputs, torch.tensor([0] * right + [1] * (10 - right))


class Fixed(nn.Module):
    """Says class 0 with the confidence that the input carries; learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2)
        self.epoch = nn.Buffer(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.epoch += 1
        return torch.cat([x, torch.zeros_like(x)], 1) + 0 * self.fc(x)


@pytest.mark.parametrize(
    ("script", "best"),
    [
        ([(6, 1.0), (8, 1.0), (7, 1.0)], 2),  # the highest accuracy
        ([(8, 1.0), (8, 1.4), (8, 1.2)], 2),  # at equal accuracy the lowest loss: log-odds 1.386
        ([(8, 1.0), (8, 1.0), (8, 1.0)], 1),  # at equal both the first
        ([(6, 0.4), (8, 9.0), (7, 0.8)], 2),  # accuracy before loss
        ([(0, 1.0), (0, 0.5), (0, 1.0)], 2),  # even when nothing is right
    ],
)
def test_the_best_epoch_is_chosen_on_validation(cpu, make_strategy, tmp_path, script, best):
    strategy = make_strategy({"epochs": 3})
    _, progress = fit(Scripted(script), strategy, cpu, tmp_path / "r.pt", model=Fixed())
    assert progress.best_epoch == best
    assert progress.best_model["epoch"] == best  # the weights of that very epoch


def test_divergence_names_the_learning_rate(cache, cpu, make_strategy, tmp_path):
    strategy = make_strategy(
        {"train": "head", "epochs": 1}, {"epochs": 3, "lr": 1e30, "optimizer": "sgd"}
    )
    with pytest.raises(HeadstartError) as caught:
        fit(image_batches(cache, cpu), strategy, cpu, tmp_path / "r.pt")
    text = str(caught.value)
    assert "phases[1].lr" in text and "training diverged" in text and "\n" not in text
    # and the broken epoch is not what a rerun goes on from
    assert ResumeFile(tmp_path / "r.pt", "key").load().epoch == 1


def test_clipping_bounds_the_gradient(cache, cpu, make_strategy, tmp_path, monkeypatch):
    norms = []
    step = torch.optim.SGD.step

    def recording(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", recording)
    phase = {"epochs": 2, "optimizer": "sgd"}
    batches = image_batches(cache, cpu)
    fit(batches, make_strategy(phase, gradient_clip=0.01), cpu, tmp_path / "clipped.pt")
    assert len(norms) == 6 and max(norms) <= 0.01 * (1 + 1e-4)
    norms.clear()
    fit(batches, make_strategy(phase), cpu, tmp_path / "free.pt")
    assert min(norms) > 0.01


# ---- losses ----------------------------------------------------------------------------------


def test_class_weights_are_scikit_learns(cpu, make_strategy):
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    settings = make_strategy({}, class_weights="balanced").training
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    logits, targets = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])
    made = losses.loss_function(settings, labels, cpu)(logits, targets)
    wanted = F.cross_entropy(logits, targets, weight=torch.tensor(weights, dtype=torch.float32))
    assert made.item() == pytest.approx(wanted.item())


def test_label_smoothing_by_hand(cpu, make_strategy):
    loss = losses.loss_function(
        make_strategy({}, label_smoothing=0.2).training, np.array([0, 1]), cpu
    )
    logits = torch.tensor([[2.0, 0.0]])
    log_p = -np.log1p(np.exp(-2.0)), -np.log1p(np.exp(2.0))
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(
        -0.9 * log_p[0] - 0.1 * log_p[1], rel=1e-5
    )


def bce(logit: float, wanted: float) -> float:
    p = 1 / (1 + np.exp(-logit))
    return -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p))


def test_bce_by_hand(cpu, make_strategy):
    settings = make_strategy({}, loss="bce_with_logits", label_smoothing=0.2).training
    loss = losses.loss_function(settings, np.array([0, 1, 1, 1]), cpu)
    logits, targets = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([0, 1])
    terms = bce(1, 0.9), bce(-2, 0.1), bce(0.5, 0.1), bce(3, 0.9)
    assert loss(logits, targets).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_balanced_bce_gives_every_class_the_same_say(cpu, make_strategy):
    """Weighing output columns instead of examples would leave two classes as unequal as before."""
    settings = make_strategy({}, loss="bce_with_logits", class_weights="balanced").training
    labels = np.array([0, 1, 1, 1])
    loss = losses.loss_function(settings, labels, cpu)
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.5, 3.0], [0.5, 3.0]])
    rare = 2.0 * (bce(1, 1) + bce(-2, 0))
    common = 2 / 3 * 3 * (bce(0.5, 0) + bce(3, 1))
    made = loss(logits, torch.from_numpy(labels)).item()
    assert made == pytest.approx((rare + common) / 8, rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_soft_targets_that_are_certain_are_hard_ones(cpu, make_strategy, loss):
    settings = make_strategy({}, loss=loss, label_smoothing=0.1, class_weights="balanced").training
    made = losses.loss_function(settings, np.repeat([0, 1, 2], [5, 3, 2]), cpu)
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    soft = F.one_hot(targets, 3).float()
    assert made(logits, soft).isfinite()
    if loss == "bce_with_logits":
        assert made(logits, soft).item() == pytest.approx(made(logits, targets).item())


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_probabilities_belong_to_the_loss(loss):
    logits = torch.randn(5, 4) * 5
    made = losses.probabilities(logits, loss)
    assert torch.allclose(made.sum(1), torch.ones(5))
    assert torch.equal(made.argsort(1), logits.argsort(1))
    if loss == "bce_with_logits":
        ratio = torch.sigmoid(logits[0, 0]) / torch.sigmoid(logits[0, 1])
        assert torch.allclose(made[0, 0] / made[0, 1], ratio)


# ---- a whole run -----------------------------------------------------------------------------


@pytest.fixture
def files(cache, tmp_path) -> inputs.TrainingFiles:
    torch.manual_seed(0)
    from safetensors.torch import save_file

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
    frame["split"] = ["train"] * 12 + ["val"] * (N - 12)
    frame.to_csv(tmp_path / "train_val.csv", index=False)
    (tmp_path / "tracking.json").write_text("{}")
    images, index = cache.__reduce__()[1]
    return inputs.TrainingFiles(
        backbone=tmp_path / "backbone.json",
        weights=tmp_path / "w.safetensors",
        train_val=tmp_path / "train_val.csv",
        classes=tmp_path / "classes.json",
        images=images,
        index=index,
        tracking=tmp_path / "tracking.json",
    )


class FakeLog:
    """Stands for tracking.RunLog: remembers the epochs it is given, and forgets runs."""

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

    dataset = files = model = end = nothing


def outputs_in(folder: Path) -> runs.RunFiles:
    names = ("m.safetensors", "h.csv", "r.json", "resume.pt")
    return runs.RunFiles(*(folder / name for name in names))


def test_two_processes_leave_one_run(files, make_strategy, tmp_path, monkeypatch):
    """On pretended GPUs: without real ones the processes compute on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    store = tracking.prepare(tmp_path / "mlflow", "cells")
    files.tracking.write_text(json.dumps(store))
    strategy, outputs = make_strategy({"epochs": 2}, gpus=2), outputs_in(tmp_path)
    name, log = runs.RunName("cells", "full", 1.0, 0), tmp_path / "log.txt"
    runs.train_on(["0", "1"], log, name, strategy, files, outputs, threads=2)
    run = json.loads(outputs.run.read_text())
    assert run["device"].startswith("2 × ") and run["threads"] == 1
    assert pd.read_csv(outputs.history).epoch.tolist() == [1, 2]
    assert not outputs.resume.exists()
    assert log.read_text().count("epoch 2: loss") == 1
    logged = MlflowClient(store["uri"]).search_runs([store["experiment_id"]])
    names = {one.info.run_id: one.info.run_name for one in logged}
    assert len(names) == 2 and names[run["mlflow_run_id"]] == str(name)  # and the parent


def test_without_a_second_gpu_one_process_trains(
    files, make_strategy, tmp_path, monkeypatch, caplog
):
    FakeLog.started = []
    monkeypatch.setattr(tracking, "RunLog", FakeLog)
    caplog.set_level("INFO")
    strategy, outputs = make_strategy({"epochs": 1}, gpus=2), outputs_in(tmp_path)
    name = runs.RunName("cells", "full", 1.0, 0)
    runs.train_on([], tmp_path / "log.txt", name, strategy, files, outputs, threads=1)
    assert "training.gpus is 2, leased are 0: training in one process" in caplog.text
    assert outputs.run.exists()


def test_an_interrupted_run_survives_the_loss_of_its_mlflow_run(
    files, make_strategy, tmp_path, monkeypatch
):
    """The resume file would otherwise name the lost run for ever, and no rerun could go on."""
    FakeLog.started = []
    monkeypatch.setattr(tracking, "RunLog", FakeLog)
    outputs = outputs_in(tmp_path)
    arguments = (runs.RunName("cells", "full", 1.0, 0), make_strategy({"epochs": 3}), files)
    save = ResumeFile.save

    def dying(self: ResumeFile, progress: Progress) -> None:
        save(self, progress)
        if progress.epoch == 2:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ResumeFile, "save", dying)
        runs.train(*arguments, outputs, threads=1)
    assert outputs.resume.exists() and not outputs.run.exists()
    runs.train(*arguments, outputs, threads=1)
    first, second = FakeLog.started
    assert (first.steps, second.steps) == ([1], [1, 2, 3])
    run = json.loads(outputs.run.read_text())
    assert run["mlflow_run_id"] == second.run_id
    assert run["n_train"] == 12 and run["trainable_parameters"] == run["parameters"]
    assert pd.read_csv(outputs.history).epoch.tolist() == [1, 2, 3]
    assert not outputs.resume.exists()


@pytest.mark.parametrize("policy", ["batched", "per-image"])
def test_a_run_on_a_gpu_takes_the_fast_paths_that_it_has(
    files, make_strategy, tmp_path, monkeypatch, caplog, gpu, policy
):
    """Whole batches where the images are resident; else workers stream them one by one."""
    FakeLog.started = []
    monkeypatch.setattr(tracking, "RunLog", FakeLog)
    caplog.set_level("INFO")
    strategy = make_strategy({"epochs": 12, "lr": 0.003}, precision="auto")
    augmented = [*POLICY, config.Transform("trivial_augment")] if policy == "per-image" else POLICY
    strategy = replace(strategy, augmentation=tuple(augmented))
    outputs = outputs_in(tmp_path)
    runs.train(runs.RunName("cells", "full", 1.0, 0), strategy, files, outputs, threads=2)
    where = "device-resident, batched" if policy == "batched" else "streamed, per-image"
    assert f"images: {where} augmentation" in caplog.text
    assert f"{gpu.name}, {gpu.precision}, channels_last" in caplog.text
    run, history = json.loads(outputs.run.read_text()), pd.read_csv(outputs.history)
    assert (run["device"], run["device_uuid"]) == (gpu.name, gpu.uuid)
    assert run["precision"] == gpu.precision and run["peak_memory_bytes"] > 0
    assert history.train_loss.iloc[-1] < history.train_loss.iloc[0]
    model = backbones.build(json.loads(files.backbone.read_text()), 2, None, 0)
    model.load_state_dict(load_file(outputs.model))


def test_a_backbone_frozen_on_a_gpu_keeps_every_bit(cache, gpu, make_strategy, tmp_path):
    before = {k: v.clone() for k, v in small_model().state_dict().items()}
    strategy = make_strategy({"train": "head", "epochs": 2, "lr": 0.01})
    model = small_model().to("cuda")
    fit(image_batches(cache, gpu), strategy, gpu, tmp_path / "r.pt", model=model)
    after = {k: v.cpu() for k, v in model.state_dict().items()}
    assert all(torch.equal(after[k], v) == (not k.startswith("fc")) for k, v in before.items())
