"""Decoding: every kind of picture becomes upright 8-bit RGB, or is told by its name."""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from headstart.data import decoding, signatures


def encode(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width: int = 24, height: int = 16, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def tiff(*values: float, dtype: str = "uint16") -> bytes:
    """A grey picture of one row."""
    return encode(Image.fromarray(np.array([values], dtype=dtype)), "TIFF")


def rgb(data: bytes) -> np.ndarray:
    image = decoding.decode(data)
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


@pytest.mark.parametrize(
    "data, ranges, grey",
    [
        (tiff(0, 1000, 4095), {"I;16": (0, 4095)}, [0, 62, 255]),
        (tiff(0, 100), {"I;16": (0, 4095)}, [0, 6]),
        (tiff(0, 5000), {"I;16": (0, 4095)}, [0, 255]),  # brighter than all of the set
        (tiff(0, 100), {"F": (0, 4095)}, [0, 100]),  # from its own full range, 255
        (tiff(-50, 20, 50, dtype="int32"), {"I": (-100, 100)}, [64, 153, 191]),
        (tiff(0, 0.2, dtype="float32"), {"F": (0, 1)}, [0, 51]),
        (tiff(3, 3, dtype="float32"), {"F": (3, 3)}, [0, 0]),
        (tiff(np.nan, np.inf, -np.inf, 0.2, dtype="float32"), {"F": (0, 1)}, [0, 255, 0, 51]),
    ],
)
def test_wide_pictures_are_scaled_from_the_given_range(data, ranges, grey):
    pixels = rgb_within(data, ranges)
    assert pixels[0, :, 0].tolist() == grey and (pixels == pixels[..., :1]).all()


def rgb_within(data: bytes, ranges: decoding.Ranges) -> np.ndarray:
    return np.asarray(decoding.decode(data, ranges))


@pytest.mark.parametrize(
    "kind, low, peak, expected",
    [
        ("I;16", 3, 255, (0, 255)),
        ("I;16", 0, 256, (0, 1023)),
        ("I;16", 0, 4095, (0, 4095)),
        ("I;16", 0, 10_000, (0, 16383)),
        ("I;16", 9, 16384, (0, 65535)),
        ("I", 0, 70_000, (0, 2**31 - 1)),
        ("I", -1, 900, (-1, 900)),
        ("F", 0.1, 0.9, (0, 1)),
        ("F", 0, 1.0000001, (0, 1)),
        ("F", 0, 200, (0, 255)),
        ("F", 0, 40_000, (0, 65535)),
        ("F", 5, 1e6, (5, 1e6)),
        ("F", -1, 1, (-1, 1)),
    ],
)
def test_the_full_range_is_the_smallest_usual_one(kind, low, peak, expected):
    assert decoding.full_range(kind, low, peak) == expected


def test_the_extent_is_of_finite_values():
    image = decoding.load(tiff(np.nan, np.inf, -3, 7.5, dtype="float32"))
    assert decoding.extent(image) == (-3, 7.5)
    assert decoding.extent(decoding.load(tiff(np.nan, dtype="float32"))) == (0, 0)
    assert decoding.extent(decoding.load(tiff(2**31 - 1, -7, dtype="int32"))) == (-7, 2**31 - 1)


def _camera_file(tags: dict[int, int]) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory[tag] = value
    return encode(noise(), "TIFF", tiffinfo=directory)


HEIC = b"\0\0\0\x18ftyp%b\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    "data, name",
    [
        (HEIC % b"heic", "HEIC"),
        (HEIC % b"mif1", "HEIC"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(99), "RAW"),
        (b"FUJIFILMCCD-RAW 0201FF", "RAW"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "RAW"),
        (_camera_file({254: 1, 330: 8}), "RAW"),
        (_camera_file({50706: 1}), "RAW"),
        (b"8BPS\0\1" + bytes(99), "PSD"),
        (b"\xef\xbb\xbf <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<SVG/>", "SVG"),
        pytest.param(encode(noise(), "PDF"), "PDF", id="PDF"),  # its bytes hold the time
        pytest.param(encode(noise(), "EPS"), "EPS", id="EPS"),
        (b"\xff\x0a\xff\x07", "JPEG XL"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM"),
    ],
)
def test_kinds_that_are_not_read_are_told_by_name(data, name):
    with pytest.raises(decoding.UnsupportedError) as error:
        decoding.decode(data)
    assert decoding.reason(error.value) == f"{name} picture: convert it to JPEG or PNG"


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "WEBP", "BMP", "TGA", "ICO", "PPM", "TIFF"])
def test_other_kinds_are_read(kind):
    sizes = {"sizes": [(24, 16)]} if kind == "ICO" else {}
    image = decoding.decode(encode(noise(), kind, **sizes))
    assert image.size == (24, 16)
    assert np.abs(np.asarray(image).astype(int).mean() - np.asarray(noise()).mean()) < 3


@pytest.mark.parametrize(
    "data", [b"<?xml version='1.0'?><html/>", b"plain text", b"<", b"\0" * 200]
)
def test_what_is_no_picture_is_not_taken_for_one(data):
    with pytest.raises(UnidentifiedImageError) as error:
        decoding.decode(data)
    assert decoding.reason(error.value) == "not an image"


def test_no_file_starts_another_program(monkeypatch):
    monkeypatch.setattr(signatures, "unsupported", lambda data: "")
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("started a program"))
    picture = encode(noise(), "EPS")
    for read in (decoding.decode, lambda data: decoding.opened(io.BytesIO(data))):
        with pytest.raises(UnidentifiedImageError):
            read(picture)


def test_a_png_with_very_long_texts_is_read():
    """As programs write it that keep their whole state, or a profile, in the picture."""
    texts = PngInfo()
    for number in range(3):
        texts.add_text(f"compressed {number}", "x" * 30_000_000, zip=True)
    texts.add_itxt("plain", "ä" * 2_000_000)
    assert (rgb(encode(noise(), "PNG", pnginfo=texts)) == np.asarray(noise())).all()
