"""Stages: their features are those of the very layers that they are named after."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headstart.data.cache import ImageCache
from headstart.models import backbones, layers
from headstart.models.backbones import Prepared
from headstart.training import features, stages

IMAGE = {
    "size": 32,
    "resize": 32,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
N = 5


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    pixels = np.random.default_rng(0).integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)
    (tmp_path / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k},{k * 32 * 32 * 3},32,32,{k}" for k in range(N)]
    (tmp_path / "index.csv").write_text("\n".join(["id,offset,height,width,sha256", *rows]) + "\n")
    return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")


def hooked(model: torch.nn.Module, names: list[str], images: torch.Tensor) -> list[np.ndarray]:
    """What the named layers put out, averaged over positions."""
    seen: dict[str, torch.Tensor] = {}
    for name in names:
        module = model.get_submodule(name)
        module.register_forward_hook(lambda _, __, output, k=name: seen.update({k: output}))
    with torch.no_grad():
        model.eval()(images)
    return [(x.mean((2, 3)) if x.ndim == 4 else x).numpy() for x in map(seen.get, names)]


@pytest.mark.parametrize(
    ("library", "name", "hooks", "pooling"),
    [
        ("timm", "resnet10t", ["layer1", "layer2", "layer3"], "global_pool"),
        ("timm", "test_efficientnet", ["blocks.0", "blocks.1", "blocks.2"], "global_pool"),
        ("torchvision", "resnet18", ["layer1", "layer2", "layer3"], "avgpool"),
        ("torchvision", "mobilenet_v3_small", ["features.3", "features.8"], "avgpool"),
    ],
)
def test_stages_are_what_hooks_on_the_layers_see(
    tmp_path, cache, cpu, library, name, hooks, pooling
):
    torch.manual_seed(0)
    model = backbones.create(name, library, 2)
    for parameter in model.parameters():  # no block is left the identity that it starts as
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    head = model.get_submodule(layers.head_name(model))
    description = {"name": name, "library": library, "image": IMAGE}
    description["num_features"] = head.in_features
    backbone = Prepared(description, tmp_path / "w.safetensors")
    stages.extract(cache, backbone, cpu, tmp_path / "out")
    assert (tmp_path / "out/ids.txt").read_text().split() == cache.ids
    files = sorted((tmp_path / "out").glob("*.npy"))
    made = [np.load(file) for file in files]
    assert len(made) == len(layers.stages(model))
    images = torch.stack([torch.from_numpy(cache[i].copy()).permute(2, 0, 1) for i in range(N)])
    expected = hooked(model, [*hooks, pooling], (images / 255 - 0.5) / 0.5)
    for wanted in expected[:-1]:
        matches = [
            stage.shape == wanted.shape and np.allclose(stage, wanted, 1e-3, 1e-4) for stage in made
        ]
        assert any(matches), name
    if name != "mobilenet_v3_small":  # whose head has a hidden layer between pooling and the end
        pooled = expected[-1].reshape(N, -1)
        np.testing.assert_allclose(made[-1], pooled, 1e-3, 1e-4)
        out = tmp_path / "pooled.npy"
        features.extract(cache, backbone, [], 1, cpu, out)
        np.testing.assert_allclose(np.load(out)[0], pooled, 1e-3, 1e-4)
