"""Cache: pixels as decoded, mapped and not copied, complete or absent."""

import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import HeadstartError
from headstart.data import cache, manifest


def build_manifest(root: Path, sizes: list[tuple[int, int]], mode: str = "RGB") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for number, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = root / f"{number:03d}.png"
        Image.fromarray(pixels).convert(mode).save(path)
        rows.append((f"{number:03d}", str(path), "ab"[number % 2], ""))
    listing = pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype="str")
    return manifest.build(listing)


def build(table: pd.DataFrame, root: Path, size: int = 16, **options) -> cache.ImageCache:
    images, index = root / "cache" / "images.bin", root / "cache" / "index.csv"
    image = {"cache_size": size, "interpolation": options.pop("interpolation", "bilinear")}
    cache.build(table, images, index, image, **options)
    return cache.ImageCache.open(images, index)


def test_cache_holds_what_pillow_decodes(tmp_path):
    table = build_manifest(tmp_path, [(16, 16), (10, 12), (64, 32), (33, 97)])
    steps = []
    images = build(table, tmp_path, progress=steps.append, threads=3)
    assert len(images) == 4 and images.ids == ["000", "001", "002", "003"]
    assert [image.shape for image in images] == [(16, 16, 3), (12, 10, 3), (16, 32, 3), (47, 16, 3)]
    for position in (0, 1):  # small ones stay as they are
        assert (images[position] == np.asarray(Image.open(table["path"][position]))).all()
    scaled = Image.open(table["path"][2]).resize((32, 16), Image.Resampling.BILINEAR)
    assert (images[2] == np.asarray(scaled)).all()
    assert images[2].dtype == np.uint8
    assert steps == [1, 2, 3, 4]
    index = pd.read_csv(tmp_path / "cache" / "index.csv", dtype={"id": str})
    assert index.columns.tolist() == ["id", "offset", "height", "width", "sha256"]
    assert index["offset"].tolist() == [0, 768, 1128, 2664]
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == ["images.bin", "index.csv"]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_interpolation_is_pillows(tmp_path, interpolation):
    table = build_manifest(tmp_path, [(40, 40)])
    images = build(table, tmp_path, interpolation=interpolation)
    resampling = Image.Resampling[interpolation.upper()]
    expected = np.asarray(Image.open(table["path"][0]).resize((16, 16), resampling))
    assert (images[0] == expected).all()


def test_broken_rows_are_not_cached(tmp_path):
    table = build_manifest(tmp_path, [(16, 16)] * 3)
    table.loc[1, "status"] = "truncated"
    assert build(table, tmp_path).ids == ["000", "002"]


def test_grey_images_become_three_channels(tmp_path):
    images = build(build_manifest(tmp_path, [(16, 16)], "L"), tmp_path)
    assert (images[0][..., 0] == images[0][..., 2]).all()


def test_wide_pictures_are_as_bright_as_their_values(tmp_path):
    """Whatever else is in the same file, and unless other ranges are given."""
    rows = []
    for name, values in (("dark", [0, 200]), ("bright", [200, 4000])):
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.array([values], np.uint16)).save(path)
        rows.append((name, str(path), "a", ""))
    listing = pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype="str")
    table = manifest.build(listing)
    dark, bright = build(table, tmp_path)
    assert dark[0, :, 0].tolist() == [0, 12] and bright[0, :, 0].tolist() == [12, 249]
    image = {"cache_size": 16, "interpolation": "bilinear", "ranges": {"I;16": (0, 400)}}
    cache.build(table, tmp_path / "images.bin", tmp_path / "index.csv", image)
    dark, bright = cache.ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")
    assert dark[0, :, 0].tolist() == [0, 128] and bright[0, :, 0].tolist() == [128, 255]


def test_images_are_read_only_views(tmp_path):
    images = build(build_manifest(tmp_path, [(16, 16)] * 2), tmp_path)
    assert np.shares_memory(images[0], images[0])
    assert not images[0].flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        images[0][0, 0, 0] = 1
    with pytest.raises(IndexError):
        images[2]


def test_uniform_shape(tmp_path):
    assert build(build_manifest(tmp_path, [(20, 20)] * 3), tmp_path).uniform_shape == (16, 16)
    assert build(build_manifest(tmp_path, [(20, 20), (9, 9)]), tmp_path).uniform_shape is None


def test_positions(tmp_path):
    images = build(build_manifest(tmp_path, [(8, 8)] * 3), tmp_path)
    found = images.positions(["002", "000", "002"])
    assert found.dtype == np.int64 and found.tolist() == [2, 0, 2]
    assert images.positions(pd.Series(["001"])).tolist() == [1]
    assert images.positions([]).tolist() == []
    with pytest.raises(HeadstartError, match="'nope'"):
        images.positions(["001", "nope"])


def test_pickle_carries_paths_only(tmp_path, monkeypatch):
    table = build_manifest(tmp_path, [(16, 16)] * 50)
    monkeypatch.chdir(tmp_path)
    images = build(table, Path("."))
    data = pickle.dumps(images)
    assert len(data) < 1000
    monkeypatch.chdir("/")
    copy = pickle.loads(data)
    assert copy.ids == images.ids and (copy[49] == images[49]).all()


def changed(path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "PNG")
    path.write_bytes(out.getvalue())


@pytest.mark.parametrize("damage", [changed, Path.unlink])
def test_a_file_that_changed_stops_the_build(tmp_path, damage):
    table = build_manifest(tmp_path, [(16, 16)] * 3)
    damage(tmp_path / "001.png")
    with pytest.raises(HeadstartError, match=r"001\.png: .*make the manifest again"):
        build(table, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_failed_build_keeps_the_older_cache(tmp_path):
    table = build_manifest(tmp_path, [(16, 16)] * 2)
    before = build(table, tmp_path)[1].copy()
    changed(tmp_path / "001.png")
    with pytest.raises(HeadstartError):
        build(table, tmp_path)
    again = cache.ImageCache.open(tmp_path / "cache/images.bin", tmp_path / "cache/index.csv")
    assert (again[1] == before).all()


def test_open_refuses_what_does_not_fit(tmp_path):
    build(build_manifest(tmp_path, [(16, 16)] * 2), tmp_path)
    paths = tmp_path / "cache/images.bin", tmp_path / "cache/index.csv"
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    with pytest.raises(HeadstartError, match=r"images\.bin: does not fit index\.csv"):
        cache.ImageCache.open(*paths)
    paths[1].unlink()
    with pytest.raises(HeadstartError, match=r"index\.csv: no such file"):
        cache.ImageCache.open(*paths)
