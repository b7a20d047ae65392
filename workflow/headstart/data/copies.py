"""Near copies: pictures that look alike, by perceptual hash and by the backbone's features."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

_SAME_HASH = 26  # of 256 bits, a tenth; two unrelated pictures differ in about half
_LIKE_HASH = 90
_LIKE_FEATURES = 0.97
_BLOCK = 1 << 24  # distances held at a time
MOST_PAIRS = 10_000
COLUMNS = ["id", "other", "label", "other_label", "hash_distance", "cosine"]


def near(images: pd.DataFrame, features: np.ndarray | None = None) -> pd.DataFrame:
    """Pairs of distinct pictures that look alike, the closest first, at most 10,000.

    Two pictures are near copies where their hashes differ in at most a tenth of the bits, or
    where the features point the same way (cosine of at least 0.97) and the hashes differ in at
    most about a third. Exact copies under one label count as
    one picture.

    Args:
        images: columns id, label, sha256 and phash (64 hexadecimal digits).
        features: float32 (n, d) of the same rows; without them hashes alone decide.

    Returns:
        `COLUMNS`; hash_distance in bits, cosine empty without features.
    """
    first = np.flatnonzero(~images.duplicated(["sha256", "label"]).to_numpy())
    distinct = images.iloc[first]
    bits = _bits(distinct["phash"])
    vectors = None if features is None else _unit(features[first])
    found: list[tuple[int, int, int, float]] = []
    for rows in _blocks(len(distinct)):
        distance = _distances(bits, rows)
        cosine = np.full(distance.shape, np.nan) if vectors is None else vectors[rows] @ vectors.T
        alike = (distance <= _SAME_HASH) | ((distance <= _LIKE_HASH) & (cosine >= _LIKE_FEATURES))
        for a, b in np.argwhere(alike & (np.arange(len(bits)) > rows[:, None])):
            found.append((rows[a], b, int(distance[a, b]), float(cosine[a, b])))
        found = sorted(found, key=lambda pair: pair[2])[:MOST_PAIRS]
    return _named(distinct, found)


def _bits(hashes: pd.Series) -> np.ndarray:
    """Bits of hexadecimal hashes as float32 of -1 and 1, (n, 256)."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), -1)
    return np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1


def _distances(bits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bits in which the hashes of some rows differ from those of all, int (m, n)."""
    return np.rint((bits.shape[1] - bits[rows] @ bits.T) / 2).astype(np.int32)


def _unit(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = features / np.maximum(lengths, 1e-12)
    return unit


def _blocks(n: int) -> Iterator[np.ndarray]:
    height = max(1, _BLOCK // max(1, n))
    for start in range(0, n, height):
        yield np.arange(start, min(start + height, n))


def _named(distinct: pd.DataFrame, found: list[tuple[int, int, int, float]]) -> pd.DataFrame:
    ids, labels = distinct["id"].to_numpy(), distinct["label"].to_numpy()
    rows = [(ids[a], ids[b], labels[a], labels[b], bits, cosine) for a, b, bits, cosine in found]
    return pd.DataFrame(rows, columns=COLUMNS)
