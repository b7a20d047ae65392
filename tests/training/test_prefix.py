"""Training from what the frozen part computed once: the same as going through it every time."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch.nn import functional as F

from headstart.models import layers, tails
from headstart.models.backbones import Prepared
from headstart.training import loop, prefix
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import Examples, FeatureBatches, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader

SIZE = 32
N = 24


def prepared(model, name: str, image: dict, folder: Path) -> Prepared:
    """A timm backbone with the weights of a model."""
    save_file(model.state_dict(), folder / "w.safetensors")
    width = model.get_submodule(layers.head_name(model)).in_features
    description = {"name": name, "library": "timm", "image": image, "num_features": width}
    return Prepared(description, folder / "w.safetensors")


def test_a_backbone_that_is_no_chain_is_left_whole(tmp_path, make_cache, make_model, image, cpu):
    model = make_model("timm", "test_vit", 2)  # whose positions are added between its layers
    assert tails.tail(model, tails.trained_names(model, 1), 160) is None
    backbone = prepared(model, "test_vit", image | {"size": 160, "resize": 160}, tmp_path)
    prefix.extract(make_cache(N), backbone, 1, cpu, tmp_path / "maps.npy")
    assert np.load(tmp_path / "maps.npy").size == 0


def train(model, batches, strategy, cpu, folder: Path) -> Progress:
    task = Task(model, F.cross_entropy, strategy.training, cpu, batches.resident)
    return loop.fit(task, batches, strategy, 0, Journal(ResumeFile(folder / "resume.pt", "")))


@pytest.mark.parametrize("name", ["test_efficientnet", "resnet10t"])
def test_training_from_cached_maps_gives_the_same_curve(
    tmp_path, make_cache, make_model, image, cpu, make_strategy, name
):
    phases = (
        {"train": "head", "epochs": 1, "lr": 0.01},
        {"train": "last_k_stages", "stages": 1, "epochs": 3, "lr": 0.003},
    )
    strategy = make_strategy(*phases, batch_size=8)
    assert strategy.cached_stages == 1 and strategy.features == "before_last_1"
    cache, model = make_cache(N), make_model("timm", name, 2)
    out = tmp_path / "maps.npy"
    prefix.extract(cache, prepared(model, name, image, tmp_path), 1, cpu, out)
    tail = tails.tail(model, tails.trained_names(model, 1), SIZE)
    assert tail is not None

    rows = {"train": np.arange(16), "val": np.arange(16, N)}
    examples = Examples(rows, {part: positions % 2 for part, positions in rows.items()})
    sampling = Sampling(8, "uniform", 0)
    plain = augmentation.evaluation_transform(image)
    reader = Reader(cache, Normalizer(image, cpu))
    images = ImageBatches(reader, examples, Policy([plain], plain), sampling)
    cached = FeatureBatches(np.load(out, mmap_mode="r"), examples, sampling, cpu)
    whole = train(model, images, strategy, cpu, tmp_path / "a")
    part = train(tail.train(), cached, strategy, cpu, tmp_path / "b")
    for one, other in zip(whole.history, part.history, strict=True):
        for key in ("train_loss", "val_loss"):
            assert one[key] == pytest.approx(other[key], rel=1e-3), key
    assert set(part.best_model) < set(whole.best_model)
