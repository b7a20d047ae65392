"""Training from what the frozen part computed once: the same as going through it every time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from headstart.data.cache import ImageCache
from headstart.models import backbones, layers, prefix
from headstart.training import features, loop
from headstart.training.checkpoints import ResumeFile
from headstart.views import augmentation
from headstart.views.batches import FeatureBatches, ImageBatches, Normalizer

SIZE = 32
IMAGE = {
    "size": SIZE,
    "resize": SIZE,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
N = 24


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    pixels = np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
    (tmp_path / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k},{k * SIZE * SIZE * 3},{SIZE},{SIZE}" for k in range(N)]
    (tmp_path / "index.csv").write_text("\n".join(["id,offset,height,width", *rows]) + "\n")
    return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")


def make(library: str, name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return backbones.create(name, library, 2).eval()


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "test_efficientnet"),
        ("timm", "resnet10t"),
        ("torchvision", "resnet18"),
        ("torchvision", "mobilenet_v3_small"),
    ],
)
def test_the_tail_goes_on_where_the_frozen_part_ends(library, name, stages):
    model = make(library, name)
    trained = prefix.trained_names(model, stages)
    tail = prefix.tail(model, trained, SIZE)
    assert tail is not None
    assert {key for key, _ in tail.named_parameters()} == trained
    assert layers.stages(tail) == layers.stages(model)[-stages:]
    images = torch.randn(3, 3, SIZE, SIZE)
    with torch.inference_mode():
        output = tail(prefix.received(model, trained, images))
        torch.testing.assert_close(output, model(images), rtol=1e-3, atol=1e-4)


def test_a_backbone_that_is_no_chain_is_left_whole(tmp_path, cache, cpu):
    model = make("timm", "test_vit")  # whose positions are added between its layers
    assert prefix.tail(model, prefix.trained_names(model, 1), 160) is None
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    image = IMAGE | {"size": 160, "resize": 160}
    description = {"name": "test_vit", "library": "timm", "image": image, "num_features": 64}
    out = tmp_path / "maps.npy"
    features.extract_prefix(cache, description, tmp_path / "w.safetensors", 1, cpu, out)
    assert np.load(out).size == 0


def history(model, batches, strategy, cpu, folder: Path) -> tuple[list[dict], dict]:
    progress = loop.fit(
        model,
        batches,
        strategy,
        F.cross_entropy,
        cpu,
        0,
        ResumeFile(folder / "resume.pt", ""),
        lambda progress: None,
        lambda progress: None,
    )
    return progress.history, progress.best_model


@pytest.mark.parametrize("name", ["test_efficientnet", "resnet10t"])
def test_training_from_cached_maps_gives_the_same_curve(tmp_path, cache, cpu, make_strategy, name):
    phases = (
        {"train": "head", "epochs": 1, "lr": 0.01},
        {"train": "last_k_stages", "stages": 1, "epochs": 3, "lr": 0.003},
    )
    strategy = make_strategy(*phases, batch_size=8)
    assert strategy.cached_stages == 1 and strategy.features == "before_last_1"
    model = make("timm", name)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    width = model.get_submodule(layers.head_name(model)).in_features
    description = {"name": name, "library": "timm", "image": IMAGE, "num_features": width}
    out = tmp_path / "maps.npy"
    features.extract_prefix(cache, description, tmp_path / "w.safetensors", 1, cpu, out)
    tail = prefix.tail(model, prefix.trained_names(model, 1), SIZE)
    assert tail is not None

    rows = {"train": np.arange(16), "val": np.arange(16, N)}
    labels = {part: positions % 2 for part, positions in rows.items()}
    plain = augmentation.evaluation_transform(IMAGE)
    normalize = Normalizer(IMAGE, cpu)
    transforms = {"train": plain, "val": plain}
    images = ImageBatches(cache, rows, labels, transforms, normalize, 8, "uniform", 0)
    cached = FeatureBatches(np.load(out, mmap_mode="r"), rows, labels, cpu, 8, "uniform", 0)
    through, whole = history(model, images, strategy, cpu, tmp_path / "a")
    onward, part = history(tail.train(), cached, strategy, cpu, tmp_path / "b")
    for one, other in zip(through, onward, strict=True):
        for key in ("train_loss", "val_loss"):
            assert one[key] == pytest.approx(other[key], rel=1e-3), key
    assert set(part) < set(whole)
