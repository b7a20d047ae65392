"""Cache: every usable image decoded once, scaled down, and memory-mapped as uint8."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from headstart import HeadstartError
from headstart.data import decoding
from headstart.data.manifest import OK, ordered_map, ranges

INDEX = ["id", "offset", "height", "width", "sha256"]


def build(
    manifest: pd.DataFrame,
    images_path: Path,
    index_path: Path,
    image: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
    threads: int = 1,
) -> None:
    """Write images.bin (uint8 RGB, row by row, one image after the other) and index.csv.

    Images whose shorter side exceeds the cache's size are scaled down to it; the others
    stay as they are. Both files appear only when complete.

    Args:
        manifest: as `manifest.build` returns it; its usable rows are cached, in order.
        images_path: file for the pixels.
        index_path: file for columns id, offset (bytes), height, width (pixels), sha256 (of the
            pixels).
        image: preprocessing, of which `cache_size` bounds the shorter side, in pixels, and
            `interpolation` is nearest, bilinear or bicubic; `ranges`, if given, scale pictures
            of more than 8 bits instead of the manifest's own.
        progress: called with the number of images done so far, after each.
        threads: images in work at a time.

    Raises:
        HeadstartError: a file is not what it was when the manifest was made.
    """
    usable = manifest[manifest["status"] == OK]
    resampling = Image.Resampling[image["interpolation"].upper()]

    scales = image.get("ranges", ranges(usable))

    def load(file: tuple[str, str]) -> np.ndarray:
        return np.asarray(_scale_down(_read(*file, scales), image["cache_size"], resampling))

    shapes, hashes = [], []
    with _replacing(images_path, index_path) as (images_part, index_part):
        with images_part.open("wb") as out, decoding.quiet():
            files = zip(usable["path"], usable["sha256"], strict=True)
            for pixels in ordered_map(load, files, threads):
                out.write(pixels.data)
                shapes.append(pixels.shape[:2])
                hashes.append(hashlib.sha256(pixels.data).hexdigest())
                if progress:
                    progress(len(shapes))
        index = pd.DataFrame(shapes, columns=["height", "width"], dtype="int64")
        ends = (index["height"] * index["width"] * 3).cumsum()
        index.insert(0, "offset", ends.shift(fill_value=0))
        index.insert(0, "id", usable["id"].to_numpy())
        index["sha256"] = hashes
        index.to_csv(index_part, index=False)


def _read(path: str, sha256: str, scales: decoding.Ranges) -> Image.Image:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise HeadstartError(f"{path}: {error.strerror}; make the manifest again") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise HeadstartError(f"{path}: changed since the manifest; make the manifest again")
    try:
        return decoding.decode(data, scales)
    except Exception as error:  # on broken data Pillow's plugins raise almost any type
        raise HeadstartError(f"{path}: {error}; make the manifest again") from None


def _scale_down(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    shorter = min(image.size)
    if shorter <= side:
        return image
    width, height = (round(length * side / shorter) for length in image.size)
    return image.resize((width, height), resampling)


@contextmanager
def _replacing(images: Path, index: Path) -> Iterator[tuple[Path, Path]]:
    """Names to write to, renamed at the end; an index never stands beside other pixels."""
    parts = tuple(path.with_name(f"{path.name}.part") for path in (images, index))
    try:
        for path in parts:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield parts[0], parts[1]
        index.unlink(missing_ok=True)
        parts[0].replace(images)
        parts[1].replace(index)
    finally:
        for path in parts:
            path.unlink(missing_ok=True)


class ImageCache:
    """The cached images as a sequence of uint8 arrays, shape (height, width, 3).

    The arrays are read-only views of the mapped file. Pickling (DataLoader workers) carries
    the two paths only; the other process maps the file again.
    """

    def __init__(self, images_path: Path, index_path: Path, index: pd.DataFrame) -> None:
        self._paths = (images_path, index_path)
        self._index = pd.Index(index["id"])
        self._offsets = index["offset"].to_numpy(np.int64)
        self._hashes = index["sha256"].to_numpy()
        #: (height, width) of each image in pixels, int64 (n, 2)
        self.sizes = index[["height", "width"]].to_numpy(np.int64)
        # a plain array over the map: slicing np.memmap itself is several times slower
        self._pixels = np.asarray(np.memmap(images_path, dtype=np.uint8, mode="r"))

    @classmethod
    def open(cls, images_path: str | Path, index_path: str | Path) -> "ImageCache":
        """Map a cache that `build` wrote.

        Raises:
            HeadstartError: a file is missing, or the two do not belong together.
        """
        images, table = Path(images_path).absolute(), Path(index_path).absolute()
        for path in (images, table):
            if not path.is_file():
                raise HeadstartError(f"{path}: no such file; build the cache again")
        index = pd.read_csv(table, dtype={"id": "str", "sha256": "str"}, keep_default_na=False)
        expected = int((index["height"] * index["width"] * 3).sum())
        if index.empty or images.stat().st_size != expected:
            raise HeadstartError(f"{images}: does not fit {table.name}; build the cache again")
        return cls(images, table, index)

    def __reduce__(self) -> tuple[object, ...]:
        return ImageCache.open, self._paths

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, position: int) -> np.ndarray:
        """The image at a position, uint8 (height, width, 3), without a copy."""
        height, width = self.sizes[position]
        start = self._offsets[position]
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3)

    @property
    def ids(self) -> list[str]:
        """Image ids, in cache order."""
        return self._index.tolist()

    @property
    def uniform_shape(self) -> tuple[int, int] | None:
        """(height, width) if all images have the same, else None."""
        first = self.sizes[0]
        return (int(first[0]), int(first[1])) if (self.sizes == first).all() else None

    @property
    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """All pixels, uint8 (p, 3), and each image's first one among them, int64 (n,)."""
        return self._pixels.reshape(-1, 3), self._offsets // 3

    def positions(self, ids: Iterable[str]) -> np.ndarray:
        """Positions of ids, int64 (n,).

        Raises:
            HeadstartError: names the first id that is not in the cache.
        """
        wanted = pd.Index(list(ids), dtype=self._index.dtype)
        found = self._index.get_indexer(wanted).astype(np.int64)
        if (missing := found < 0).any():
            raise HeadstartError(
                f"image {wanted[missing][0]!r} is not cached; build the cache again"
            )
        return found

    def hashes(self, ids: Iterable[str]) -> list[str]:
        """Hex SHA-256 of the pixels of each image."""
        return list(self._hashes[self.positions(ids)])
