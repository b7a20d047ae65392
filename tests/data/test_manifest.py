"""Manifest: every file that a folder may hold is measured, or named as broken."""

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


def wide(*values: float, dtype: str = "uint16") -> bytes:
    """A TIFF of one row."""
    return encode(Image.fromarray(np.array([values], dtype=dtype)), "TIFF")


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
        "b/phone.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
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
        "b/phone.jpg": "HEIC picture: convert it to JPEG or PNG",
        "b/gone.jpg": "unreadable: No such file or directory",
    }
    assert built.loc[0, ["width", "height"]].tolist() == [24, 16]
    assert built.loc[1, ["width", "height"]].tolist() == [16, 24]
    assert built.loc[0, "sha256"] == hashlib.sha256(good).hexdigest()
    assert built["phash"].str.len().tolist() == [64, 64, 0, 0, 0, 0, 0, 64, 0, 0]
    assert built["width"].isna().tolist() == (built["status"] != "ok").tolist()
    assert steps == list(range(1, 11))
    assert not caught and capfd.readouterr() == ("", "")


def test_manifest_survives_its_file(tmp_path):
    files = {"NA/1.png": encode(noise(), "PNG"), "007/2.png": b"", "null/a, b.png": b"x"}
    files["1e5/3.tif"] = wide(0.1, 1 / 3, dtype="float32")
    built = manifest.build(listing(tmp_path, files).assign(group=["", "NA", "01", "1"]))
    built.to_csv(tmp_path / "manifest.csv", index=False)
    pd.testing.assert_frame_equal(manifest.read(tmp_path / "manifest.csv"), built)


def test_groups_are_passed_through(tmp_path):
    given = listing(tmp_path, {"a/1.png": encode(noise(), "PNG"), "b/2.png": b""})
    assert manifest.build(given)["group"].tolist() == ["", ""]
    assert manifest.build(given.assign(group=["p", "q"]))["group"].tolist() == ["p", "q"]


def test_wide_pictures_of_a_set_share_a_range(tmp_path):
    big_endian = Image.frombytes("I;16B", (2, 1), np.array([7, 900], ">u2").tobytes())
    files = {
        "a/dark.png": encode(Image.fromarray(np.array([[3, 100]], np.uint16)), "PNG"),
        "a/bright.tif": wide(0, 3000),
        "b/big-endian.tif": encode(big_endian, "TIFF"),
        "b/cut.tif": wide(0, *[60000] * 99)[:-40],
        "b/float.tif": wide(0.2, 0.7, dtype="float32"),
        "b/signed.tif": wide(-20, 30, dtype="int32"),
        "b/plain.png": encode(noise(), "PNG"),
    }
    built = manifest.build(listing(tmp_path, files))
    assert built["mode"].tolist() == ["I;16", "I;16", "I;16B", "", "F", "I", "RGB"]
    assert built["low"].isna().tolist() == [False] * 3 + [True, False, False, True]
    assert built["peak"].dropna().tolist() == [100, 3000, 900, np.float32(0.7), 30]
    assert manifest.ranges(built) == {"F": (0, 1), "I": (-20, 30), "I;16": (0, 4095)}
    lines = manifest.summary(built)
    assert "3 pictures of 16 bits are scaled from 0 to 4,095" in lines
    assert "1 picture of 32 bits is scaled from -20 to 30" in lines
    assert "1 picture of floating-point numbers is scaled from 0 to 1" in lines
    assert manifest.ranges(built.tail(1)) == {} and len(manifest.summary(built.tail(1))) == 1


def test_a_huge_picture_is_read(tmp_path):
    files = {"a/scan.png": encode(Image.new("1", (20_000, 12_000), 1), "PNG")}
    built = manifest.build(listing(tmp_path, files))
    assert built.loc[0, ["status", "width", "height"]].tolist() == ["ok", 20_000, 12_000]


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
