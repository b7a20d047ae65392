"""Shortcuts: what surrounds a picture is measured, and tells the label only where it can."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.verdict import shortcuts

SPLITS = [(np.arange(0, 80), np.arange(80, 120))]


def write(folder: Path, ending, side=lambda k: 32, level=lambda k: 128) -> pd.DataFrame:
    """The traits of 120 noisy pictures, odd and even by turns."""
    rng, rows = np.random.default_rng(0), []
    for k in range(120):
        pixels = rng.normal(level(k), 30, (side(k), 32, 3)).clip(0, 255).astype(np.uint8)
        path = folder / f"{k}.{ending(k)}"
        Image.fromarray(pixels).save(path)
        rows.append(shortcuts.around(str(path), pixels))
    return pd.DataFrame(rows)


LABELS = ["even", "odd"] * 60


def test_a_file_format_per_class_gives_it_away(tmp_path: Path) -> None:
    traits = write(tmp_path, lambda k: "jpg" if k % 2 else "png")
    floor = shortcuts.floor(traits, LABELS, SPLITS)
    assert floor["accuracy"] == 1 and floor["alone"]["file format"] == 1
    assert floor["low"] < 1 == floor["high"] and floor["n_test"] == 40
    assert floor["alone"]["mean brightness"] < 0.8
    assert list(floor["alone"].values()) == sorted(floor["alone"].values(), reverse=True)


@pytest.mark.parametrize(
    ("trait", "options"),
    [
        ("image size", {"side": lambda k: 32 + 8 * (k % 2)}),
        ("mean brightness", {"level": lambda k: 100 + 60 * (k % 2)}),
        ("border colour", {"level": lambda k: 100 + 60 * (k % 2)}),
    ],
)
def test_each_trait_is_seen(tmp_path: Path, trait: str, options: dict) -> None:
    traits = write(tmp_path, lambda k: "png", **options)
    assert shortcuts.floor(traits, LABELS, SPLITS)["alone"][trait] == 1


def test_pictures_made_alike_stay_near_chance(tmp_path: Path) -> None:
    traits = write(tmp_path, lambda k: "png")
    floor = shortcuts.floor(traits, LABELS, SPLITS)
    assert floor["low"] < 0.5 < floor["high"]


def test_camera_data_are_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[272] = "Maker", "Model 1"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("L", (8, 4)).save(tmp_path / "b.png")
    pixels = np.zeros((8, 8, 3), np.uint8)
    one = shortcuts.around(str(tmp_path / "a.jpg"), pixels)
    other = shortcuts.around(str(tmp_path / "b.png"), pixels[:4])
    assert (one["exif"], other["exif"]) == ("Maker Model 1", "none")
    assert (one["format"], other["mode"], other["aspect"]) == ("JPEG", "L", 2.0)


def test_several_splits_count_their_tests_together(tmp_path: Path) -> None:
    traits = write(tmp_path, lambda k: "jpg" if k % 2 else "png")
    halves = np.arange(60), np.arange(60, 120)
    floor = shortcuts.floor(traits, LABELS, [halves, halves[::-1]])
    assert floor["accuracy"] == 1 and floor["n_test"] == 120
