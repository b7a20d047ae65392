"""Pictures inside the page, and where on them a model's evidence lies."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart import HeadstartError
from headstart.data.cache import ImageCache
from headstart.report import examples, pictures


@pytest.fixture
def album(tmp_path: Path) -> pictures.Album:
    """A grey image, twice as wide as high, of which models see half the height at the centre."""
    (tmp_path / "images.bin").write_bytes(np.full((60, 120, 3), 128, np.uint8).tobytes())
    (tmp_path / "index.csv").write_text("id,offset,height,width,sha256\nwide,0,60,120,0\n")
    return pictures.Album(ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv"), 0.5)


def decoded(source: str) -> np.ndarray:
    data = base64.b64decode(source.split(";base64,")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_picture_keeps_its_shape_and_its_colour(album: pictures.Album) -> None:
    shown = decoded(album.picture("wide")["source"])
    assert shown.shape == (60, 120, 3) and abs(shown - 128).max() < 4


def test_evidence_lies_on_the_square_that_the_model_saw(album: pictures.Album) -> None:
    corner = np.zeros((3, 3))
    corner[0, 2] = 1.0  # the upper right of the square, which is rows 15 to 45, columns 45 to 75
    shown = decoded(album.looked_at("wide", corner))
    colourful = np.ptp(shown, axis=2) > 60
    rows, columns = np.nonzero(colourful)
    assert colourful.any() and rows.min() >= 13 and rows.max() <= 32
    assert columns.min() >= 58 and columns.max() <= 77


def test_pictures_on_demand_are_held_once_and_are_limited(album: pictures.Album) -> None:
    assert [album.numbered(name, 2) for name in ("a", "b", "a", "c", "b")] == [0, 1, 0, None, 1]
    assert album.numbered("c", 3) == 2


def test_spoilt_evidence_is_named(tmp_path: Path) -> None:
    assert examples.heat_maps(tmp_path) == {}
    np.savez_compressed(tmp_path / "evidence.npz", ids=np.array(["a"]), maps=np.zeros((1, 2, 2)))
    whole = (tmp_path / "evidence.npz").read_bytes()
    (tmp_path / "evidence.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HeadstartError, match=r"evidence\.npz: cannot be read"):
        examples.heat_maps(tmp_path)
