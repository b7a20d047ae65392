"""Manifest: every kind of file a folder may hold, decoded right or named as broken."""

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import HeadstartError
from headstart.data import manifest, sources
from headstart.experiment import loading


def encode(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width: int = 24, height: int = 16, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def listing(root: Path, files: dict[str, bytes]) -> pd.DataFrame:
    """Files named LABEL/NAME, listed in the given order."""
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    rows = [(name, str(root / name), name.split("/")[0], "") for name in files]
    return pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype="str")


def rgb(data: bytes) -> np.ndarray:
    image = manifest.decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_decode_keeps_plain_rgb():
    assert (rgb(encode(noise(), "PNG")) == np.asarray(noise())).all()


def test_decode_scales_sixteen_bits_from_the_full_range():
    ramp = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        assert rgb(encode(Image.fromarray(ramp), kind))[0, :, 0].tolist() == [0, 1, 128, 255]
    for dtype in (np.int32, np.float32):
        data = encode(Image.fromarray(ramp.astype(dtype)), "TIFF")
        assert rgb(data)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_decode_finds_the_range_of_float_images(top):
    values = np.array([[0, 0.2, 1]], dtype=np.float32) * np.float32(top)
    assert rgb(encode(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 51, 255]


def test_decode_lays_transparency_on_white():
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    clear.putpixel((1, 0), (0, 0, 0, 0))
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 0])
    palette.putpixel((1, 0), 1)
    for data in (encode(clear, "PNG"), encode(palette, "PNG", transparency=1)):
        assert rgb(data).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    half = Image.new("LA", (1, 1), (0, 0))
    assert rgb(encode(half, "PNG")).tolist() == [[[255, 255, 255]]]


def test_decode_other_modes():
    assert rgb(encode(Image.new("1", (1, 1), 1), "PNG")).tolist() == [[[255, 255, 255]]]
    assert rgb(encode(Image.new("L", (1, 1), 7), "PNG")).tolist() == [[[7, 7, 7]]]
    cyan = rgb(encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95))
    assert cyan[0, 0, 0] < 10 and cyan[0, 0, 1:].min() > 245


def test_decode_turns_upright():
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left edge comes to the top
    upright = rgb(encode(image, "JPEG", exif=exif))
    assert upright.shape == (32, 16, 3)
    assert upright[:14].min() > 240 and upright[-14:].max() < 15


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_decode_takes_the_first_frame(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert rgb(data)[0, 0].tolist() == [255, 0, 0]


def test_build_judges_every_file(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    exif = Image.Exif()
    exif[0x0112] = 6
    good = encode(noise(), "PNG")
    files = {
        "a/good.png": good,
        "a/turned.jpg": encode(noise(), "JPEG", exif=exif),
        "a/empty.jpg": b"",
        "a/text.jpg": b"hello, I am no picture",
        "b/cut.jpg": encode(noise(), "JPEG")[:-200],
        "b/cut.png": good[:-200],
        "b/large.png": encode(Image.new("L", (50, 50)), "PNG"),
        "b/largish.png": encode(Image.new("L", (40, 40)), "PNG"),
    }
    given = listing(tmp_path, files)
    given.loc[len(given)] = ["b/gone.jpg", str(tmp_path / "gone.jpg"), "b", ""]
    steps = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        built = manifest.build(given, steps.append)
    assert built.columns.tolist() == manifest.COLUMNS
    assert dict(zip(built["id"], built["status"], strict=True)) == {
        "a/good.png": "ok",
        "a/turned.jpg": "ok",
        "a/empty.jpg": "empty file",
        "a/text.jpg": "not an image",
        "b/cut.jpg": "truncated",
        "b/cut.png": "truncated",
        "b/large.png": "too large",
        "b/largish.png": "ok",
        "b/gone.jpg": "unreadable: No such file or directory",
    }
    assert built.loc[0, ["width", "height"]].tolist() == [24, 16]
    assert built.loc[1, ["width", "height"]].tolist() == [16, 24]
    assert built.loc[0, "sha256"] == hashlib.sha256(good).hexdigest()
    assert built["phash"].str.len().tolist() == [64, 64, 0, 0, 0, 0, 0, 64, 0]
    assert built["width"].isna().tolist() == (built["status"] != "ok").tolist()
    assert steps == list(range(1, 10))
    assert not caught and capfd.readouterr() == ("", "")


def test_manifest_survives_its_file(tmp_path):
    files = {"NA/1.png": encode(noise(), "PNG"), "007/2.png": b"", "null/a, b.png": b"x"}
    built = manifest.build(listing(tmp_path, files))
    built.to_csv(tmp_path / "manifest.csv", index=False)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), built)


def test_threads_change_nothing_on_elpv():
    dataset = loading.load(Path(__file__).parents[2] / "config" / "config.yaml").dataset
    some = sources.list_images(dataset).iloc[100:140]
    one, four = manifest.build(some), manifest.build(some, threads=4)
    pd.testing.assert_frame_equal(one, four)
    assert (one["status"] == "ok").all() and (one["width"] == 300).all()


def test_phash_sees_through_the_encoding(tmp_path):
    files = {f"a/{n}.png": encode(noise(), "PNG", compress_level=n) for n in (0, 9)}
    files["b/other.png"] = encode(noise(seed=1), "PNG")
    built = manifest.build(listing(tmp_path, files))
    assert built["sha256"].nunique() == 3
    assert built["phash"][0] == built["phash"][1] != built["phash"][2]


def test_summary_names_broken_files_and_copies(tmp_path):
    same, other = encode(noise(), "PNG"), encode(noise(seed=1), "PNG")
    files = {"a/1.png": same, "a/2.png": same, "b/3.png": other, "b/4.png": same}
    files |= {f"b/empty{n}.png": b"" for n in range(7)}
    lines = manifest.summary(manifest.build(listing(tmp_path, files)))
    assert lines[0] == "4 images in 2 classes (a 2, b 2)"
    assert lines[1] == "7 left out"
    assert lines[2].startswith(f"  empty file: 7 ({tmp_path}/b/empty0.png, ")
    assert "empty4" in lines[2] and "empty5" not in lines[2] and "and 2 more" in lines[2]
    assert lines[3].startswith("2 exact copies of other images")
    assert lines[4].startswith("1 picture under two labels") and "4.png as b" in lines[4]
    assert len(lines) == 5


def test_require_classes(tmp_path):
    good, other = encode(noise(), "PNG"), encode(noise(seed=1), "PNG")
    manifest.require_classes(manifest.build(listing(tmp_path, {"a/1.png": good, "b/1.png": other})))
    broken = manifest.build(listing(tmp_path, {"a/1.png": good, "b/1.png": b"", "b/2.png": b"x"}))
    with pytest.raises(HeadstartError, match=r"'b' has no usable image.*2.*b/1\.png: empty file"):
        manifest.require_classes(broken)
    with pytest.raises(HeadstartError, match=r"fewer than 2 classes \('a'\)"):
        manifest.require_classes(manifest.build(listing(tmp_path, {"a/1.png": good})))
