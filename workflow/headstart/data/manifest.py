"""Manifest: every file of the source opened once, measured and judged."""

import hashlib
import io
import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from headstart import HeadstartError

COLUMNS = ["id", "path", "label", "width", "height", "sha256", "phash", "status", "split"]
OK = "ok"
_SHOWN = 5
# Full ranges a wide grey mode may use; the smallest that holds the image's values applies.
_FULL_RANGES = {"I;16": (65535.0,), "I": (65535.0, 2.0**31 - 1), "F": (1.0, 255.0, 65535.0)}

T = TypeVar("T")
R = TypeVar("R")


class _Facts(NamedTuple):
    width: int | None = None
    height: int | None = None
    sha256: str = ""
    phash: str = ""
    status: str = OK


def build(
    listing: pd.DataFrame, progress: Callable[[int], None] | None = None, threads: int = 1
) -> pd.DataFrame:
    """Open, hash and fully decode every listed file, once.

    Args:
        listing: columns id, path, label, split, as `sources.list_images` returns them.
        progress: called with the number of files done so far, after each.
        threads: files in work at a time, each holding one decoded image.

    Returns:
        The manifest, in the listing's order: `COLUMNS`, width and height (pixels, upright)
        as nullable integers. Broken files are kept; their status says what is wrong.
    """
    facts = []
    with quiet():
        for row in ordered_map(_inspect, listing["path"], threads):
            facts.append(row)
            if progress:
                progress(len(facts))
    measured = pd.DataFrame(facts, columns=_Facts._fields, index=listing.index)
    measured = measured.astype({"width": "Int64", "height": "Int64"})
    return pd.concat([listing, measured], axis=1)[COLUMNS].reset_index(drop=True)


def read(path: str | Path) -> pd.DataFrame:
    """Read manifest.csv with the types that `build` gives, whatever the labels look like."""
    numbers = {"width": "Int64", "height": "Int64"}
    return pd.read_csv(
        path,
        dtype={name: numbers.get(name, "str") for name in COLUMNS},
        keep_default_na=False,
        na_values={name: [""] for name in numbers},
    )


def decode(data: bytes) -> Image.Image:
    """Decode an encoded image of any mode to upright RGB.

    The first frame counts, transparency is laid on white, and 16-bit grey is scaled down
    from its full range.

    Raises:
        Exception: whatever Pillow raises on broken data.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _eight_bit(image).convert("RGB")
        if not image.has_transparency_data:
            return image.convert("RGB")
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        return canvas.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float32)).clip(0)
    ranges = _FULL_RANGES[image.mode[:4]]
    full = next((full for full in ranges if values.max() <= full), ranges[-1])
    return Image.fromarray(np.rint(values * (255 / full)).clip(0, 255).astype(np.uint8))


def _inspect(path: str) -> _Facts:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return _Facts(status=f"unreadable: {error.strerror}")
    sha256 = hashlib.sha256(data).hexdigest()
    if not data:
        return _Facts(sha256=sha256, status="empty file")
    try:
        image = decode(data)
    except Exception as error:  # on broken data Pillow's plugins raise almost any type
        return _Facts(sha256=sha256, status=_reason(error))
    return _Facts(*image.size, sha256, str(imagehash.phash(image, hash_size=16)))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
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


def ordered_map(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Like `map`, on a few threads, with never more than 2 x threads results waiting."""
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[R]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def require_classes(manifest: pd.DataFrame) -> None:
    """Check that every class has a usable image, and that there are at least two classes.

    Raises:
        HeadstartError: names the class and what is wrong with its files.
    """
    usable = set(manifest.loc[manifest["status"] == OK, "label"])
    for label, rows in manifest.groupby("label"):
        if label not in usable:
            first = rows.iloc[0]
            raise HeadstartError(
                f"class {label!r} has no usable image: all {len(rows)} of its files are broken "
                f"({first['path']}: {first['status']}); mend them or remove the class"
            )
    if len(usable) < 2:
        names = ", ".join(repr(label) for label in usable) or "none"
        raise HeadstartError(f"the data has fewer than 2 classes ({names}); add images of another")


def summary(manifest: pd.DataFrame) -> list[str]:
    """Lines for the terminal: counts, what is left out and why, duplicates."""
    usable = manifest[manifest["status"] == OK]
    counts = usable["label"].value_counts().sort_index()
    if len(counts) <= _SHOWN:
        detail = ", ".join(f"{label} {count:,}" for label, count in counts.items())
    else:
        detail = f"{counts.min():,} to {counts.max():,} of each"
    lines = [f"{len(usable):,} images in {len(counts)} classes ({detail})"]
    broken = manifest[manifest["status"] != OK]
    if len(broken):
        lines.append(f"{len(broken):,} left out")
    for status, rows in broken.groupby("status"):
        lines.append(f"  {status}: {len(rows):,} ({_some(rows['path'])})")
    return lines + _duplicates(usable)


def _duplicates(usable: pd.DataFrame) -> list[str]:
    copies = usable[usable["sha256"].duplicated(keep=False)]
    if copies.empty:
        return []
    groups = copies.groupby("sha256", sort=False)
    extra = len(copies) - groups.ngroups
    lines = [
        f"{extra:,} exact {'copy' if extra == 1 else 'copies'} of other images "
        f"({_some(groups['path'].agg(' = '.join))})"
    ]
    torn = copies[groups["label"].transform("nunique") > 1]
    if len(torn):
        named = (torn["path"] + " as " + torn["label"]).groupby(torn["sha256"], sort=False)
        lines.append(
            f"{named.ngroups:,} {'picture' if named.ngroups == 1 else 'pictures'} under two labels "
            f"({_some(named.agg(' = '.join))}); check which is right"
        )
    return lines


def _some(names: pd.Series) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names.iloc[:_SHOWN]) + more
