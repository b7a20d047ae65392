"""Manifest: every file of the source opened once, measured and judged."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import imagehash
import pandas as pd

from headstart import HeadstartError
from headstart.data import decoding

COLUMNS = [
    *("id", "path", "label", "width", "height", "sha256", "phash", "status", "split", "group"),
    *("mode", "low", "peak"),
]
OK = "ok"
_SHOWN = 5
_NUMBERS = {"width": "Int64", "height": "Int64", "low": "Float64", "peak": "Float64"}
_DEPTHS = {"I;16": "16 bits", "I": "32 bits", "F": "floating-point numbers"}

T = TypeVar("T")
R = TypeVar("R")


class _Facts(NamedTuple):
    width: int | None = None
    height: int | None = None
    sha256: str = ""
    phash: str = ""
    status: str = OK
    mode: str = ""
    low: float | None = None
    peak: float | None = None


def build(
    listing: pd.DataFrame, progress: Callable[[int], None] | None = None, threads: int = 1
) -> pd.DataFrame:
    """Open, hash and fully decode every listed file, once.

    Args:
        listing: columns id, path, label, split and, if there are groups, group, as
            `sources.list_images` returns them.
        progress: called with the number of files done so far, after each.
        threads: files in work at a time, each holding one decoded image.

    Returns:
        The manifest, in the listing's order: `COLUMNS`. `width` and `height` (pixels, upright)
        are nullable integers, `mode` is Pillow's; `low` and `peak` are the smallest and largest
        value of a picture of more than 8 bits, as nullable floats. `group` is '' where there is
        none. Broken files are kept; their status says what is wrong.
    """
    facts = []
    with decoding.quiet():
        for row in ordered_map(_inspect, listing["path"], threads):
            facts.append(row)
            if progress:
                progress(len(facts))
    measured = pd.DataFrame(facts, columns=_Facts._fields, index=listing.index)
    listed = listing if "group" in listing else listing.assign(group="")
    return pd.concat([listed, measured.astype(_NUMBERS)], axis=1)[COLUMNS].reset_index(drop=True)


def read(path: str | Path) -> pd.DataFrame:
    """Read manifest.csv with the types that `build` gives, whatever the labels look like."""
    return pd.read_csv(
        path,
        dtype={name: _NUMBERS.get(name, "str") for name in COLUMNS},
        keep_default_na=False,
        na_values={name: [""] for name in _NUMBERS},
        float_precision="round_trip",
    )


def ranges(manifest: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """What becomes black and what white in pictures of more than 8 bits, for `decoding.decode`.

    One range for each depth ("I;16", "I" for 32 bits, "F" for floats), decided from all usable
    files of that depth, so that equal values look equal in all of them.
    """
    wide = _wide(manifest)
    return {
        str(kind): decoding.full_range(str(kind), rows["low"].min(), rows["peak"].max())
        for kind, rows in wide.groupby(wide["mode"].map(decoding.depth))
    }


def _wide(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[(manifest["status"] == OK) & manifest["peak"].notna()]


def _inspect(path: str) -> _Facts:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return _Facts(status=f"unreadable: {error.strerror}")
    sha256 = hashlib.sha256(data).hexdigest()
    if not data:
        return _Facts(sha256=sha256, status="empty file")
    try:
        image = decoding.load(data)
        low, peak = decoding.extent(image) if decoding.depth(image.mode) else (None, None)
        phash = str(imagehash.phash(decoding.to_rgb(image), hash_size=16))
    except Exception as error:  # on broken data Pillow's plugins raise almost any type
        return _Facts(sha256=sha256, status=decoding.reason(error))
    return _Facts(*image.size, sha256, phash, OK, image.mode, low, peak)


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
    """Lines for the terminal: counts, what is left out and why, depths, duplicates."""
    usable = manifest[manifest["status"] == OK]
    counts = usable["label"].value_counts().sort_index()
    if len(counts) <= _SHOWN:
        detail = ", ".join(f"{label} {count:,}" for label, count in counts.items())
    else:
        detail = f"{counts.min():,} to {counts.max():,} of each"
    classes = "class" if len(counts) == 1 else "classes"
    lines = [f"{len(usable):,} images in {len(counts)} {classes} ({detail})"]
    broken = manifest[manifest["status"] != OK]
    if len(broken):
        lines.append(f"{len(broken):,} left out")
    for status, rows in broken.groupby("status"):
        lines.append(f"  {status}: {len(rows):,} ({_some(rows['path'])})")
    return lines + _scales(manifest) + _duplicates(usable)


def _scales(manifest: pd.DataFrame) -> list[str]:
    counts = _wide(manifest)["mode"].map(decoding.depth).value_counts()
    return [
        f"{counts[kind]:,} {'picture' if counts[kind] == 1 else 'pictures'} of {_DEPTHS[kind]} "
        f"{'is' if counts[kind] == 1 else 'are'} scaled from {_number(low)} to {_number(high)}"
        for kind, (low, high) in ranges(manifest).items()
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.6g}"


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
