"""Sanity pictures: they show what training sees, through training's own transforms."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from headstart.data import cache as caches
from headstart.data import manifest
from headstart.experiment.config import Transform
from headstart.report import sanity
from headstart.views import augmentation

CONFIG = {
    "size": 24,
    "resize": 32,
    "interpolation": "bicubic",
    "crop_pct": 0.75,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "cache_size": 32,
}


def test_sanity_galleries_call_the_training_transform(monkeypatch):
    calls = []
    original = augmentation.training_transform
    monkeypatch.setattr(
        augmentation, "training_transform", lambda *a: calls.append(a[0]) or original(*a)
    )
    sample = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    before = torch.get_rng_state()
    for transform in filter(None, sanity.GALLERIES.values()):
        shown = sanity.views(sample, [transform], CONFIG)
        assert len(shown) == 8 and all(view.shape == (24, 24, 3) for view in shown)
        assert (shown[0] == sanity.views(sample, [], CONFIG)[0]).all()
        assert any((view != shown[1]).any() for view in shown[2:]), transform.name
    assert torch.equal(before, torch.get_rng_state())
    assert len([policy for policy in calls if policy]) == len(sanity.GALLERIES) - 1
    assert math.isclose(0.5, dict(sanity.GALLERIES["hue"].parameters)["hue"])


def test_every_figure_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
        rows.append((path.name, str(path), "odd" if number % 2 else "even", ""))
    listing = pd.DataFrame(rows, columns=["id", "path", "label", "split"])
    table = manifest.build(listing)
    files = tmp_path / "images.bin", tmp_path / "index.csv"
    caches.build(table, *files, CONFIG)
    data = sanity.Data(
        manifest=table,
        split=table[["id", "label"]].assign(split=["test"] * 4 + ["train"] * 16),
        cache=caches.ImageCache.open(*files),
        image=CONFIG,
    )
    sanity.draw(data, [Transform("horizontal_flip", (("p", 0.5),))], tmp_path / "sanity")
    drawn = {path.stem for path in (tmp_path / "sanity").glob("*.png")}
    galleries = {f"gallery_{name}" for name in sanity.GALLERIES}
    others = {"batch", "class_counts", "class_grid", "ends", "image_sizes"}
    assert drawn == galleries | others


def test_the_preprocessing_is_the_backbone_s(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"name": "x", "image": CONFIG}))
    assert sanity.read_image_config(tmp_path / "config.json") == CONFIG
