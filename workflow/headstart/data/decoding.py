"""Decoding: the bytes of an image file of any kind become upright 8-bit RGB."""

import functools
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from headstart.data import names, signatures

#: What is black and what is white, by depth: "I;16", "I" or "F".
Ranges = Mapping[str, tuple[float, float]]

_OWN: Ranges = MappingProxyType({})
# Pillow's formats that are decoded within this process; EPS, for one, starts Ghostscript.
_FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"),
    *("ICO", "QOI", "SGI", "PCX", "DDS", "FITS", "TGA"),
)
_INTEGER_RANGES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0, 2.0**31 - 1)
_FLOAT_RANGES = (1.0, 255.0, 65535.0)
_ROUNDING = 1.001  # of floats just above a full range
_DNG_VERSION, _SUBFILE_TYPE, _FURTHER_IMAGES = 50706, 254, 330  # tags of TIFF

Image.MAX_IMAGE_PIXELS = 2**29  # Pillow refuses files of more than twice as many
PngImagePlugin.MAX_TEXT_CHUNK = 2**28  # bytes; programs keep their whole state there
PngImagePlugin.MAX_TEXT_MEMORY = 2**29


class UnsupportedError(Exception):
    """A picture of a kind that is not read; the text tells its name and the way out."""


def decode(data: bytes, ranges: Ranges = _OWN) -> Image.Image:
    """Decode an encoded image of any mode to upright RGB.

    The first frame counts, transparency is laid on white, and pictures of more than 8 bits are
    scaled down.

    Args:
        ranges: from where to where those are scaled; one whose depth is missing is scaled from
            the full range that its own values suggest.

    Raises:
        UnsupportedError: the kind of the file is known, and not read.
        Exception: whatever Pillow raises on broken data.
    """
    return to_rgb(load(data), ranges)


def load(data: bytes) -> Image.Image:
    """The first frame, decoded and upright, in its own mode. Raises as `decode` does."""
    if name := signatures.unsupported(data):
        raise UnsupportedError(_way_out(name))
    image = opened(io.BytesIO(data))
    if image.format == "TIFF" and _is_raw(image):
        raise UnsupportedError(_way_out("RAW"))
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def opened(file: str | Path | IO[bytes]) -> ImageFile.ImageFile:
    """A picture of which but the header is read, of a format that starts no other program.

    Raises:
        Exception: whatever Pillow raises on broken data.
    """
    return Image.open(file, formats=_formats())


def to_rgb(image: Image.Image, ranges: Ranges = _OWN) -> Image.Image:
    """An image of any mode as RGB; `ranges` as in `decode`."""
    kind = depth(image.mode)
    if kind:
        return _eight_bits(image, ranges.get(kind) or full_range(kind, *extent(image)))
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return image if image.mode == "RGB" else image.convert("RGB")


def reads(name: str) -> bool:
    """Whether a file's ending is that of a format that is read."""
    return Image.registered_extensions().get(names.ending(name)) in _formats()


def depth(mode: str) -> str:
    """The depth of a mode with more than 8 bits: I;16, I (32 bits), F (floats); '' for others."""
    kind = mode[:4]
    return kind if kind in ("I;16", "I", "F") else ""


def extent(image: Image.Image) -> tuple[float, float]:
    """Smallest and largest finite value of an image of more than 8 bits; (0, 0) without any."""
    values = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def full_range(kind: str, low: float, peak: float) -> tuple[float, float]:
    """The values that become black and white where all values lie from `low` to `peak`.

    They are 0 and the smallest usual maximum that holds `peak`. Without such a maximum, or with
    negative values, they are `low` and `peak` themselves.
    """
    usual, slack = (_FLOAT_RANGES, _ROUNDING) if kind == "F" else (_INTEGER_RANGES, 1.0)
    full = next((full for full in usual if peak <= full * slack), None)
    return (low, peak) if full is None or low < 0 else (0.0, full)


def _eight_bits(image: Image.Image, span: tuple[float, float]) -> Image.Image:
    low, high = span
    values: Any = np.asarray(image).astype(np.float64 if image.mode == "I" else np.float32)
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values -= low
    values *= 255 / ((high - low) or 1)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _is_raw(image: Image.Image) -> bool:
    """Whether a TIFF is a camera's: its first picture is but a small view of another."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    reduced = bool(tags.get(_SUBFILE_TYPE, 0) & 1)
    return _DNG_VERSION in tags or (reduced and _FURTHER_IMAGES in tags)


def _way_out(name: str) -> str:
    return f"{name} picture: convert it to JPEG or PNG"


def reason(error: Exception) -> str:
    """In a few words, why an image could not be decoded."""
    if isinstance(error, UnsupportedError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return "too large"
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "truncated"
    return f"unreadable: {text[:80]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings and log lines off the terminal."""
    log = logging.getLogger("PIL")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
