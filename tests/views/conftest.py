"""Cached pictures and a comparison of samples that the tests of views share."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from headstart.data.cache import INDEX, ImageCache

_MIXED = [(32, 32), (60, 32), (32, 50), (20, 30), (70, 64), (9, 12)] * 2


@pytest.fixture
def make_cache(tmp_path: Path) -> Callable[..., ImageCache]:
    """Smooth pictures of given heights and widths; picture k has mean redness about 20 k."""

    def make(shapes: Sequence[tuple[int, int]] = _MIXED) -> ImageCache:
        offset, rows, content = 0, [], b""
        for k, (height, width) in enumerate(shapes):
            content += _picture(k, height, width).tobytes()
            rows.append((f"i{k}", offset, height, width, f"{k}"))
            offset = len(content)
        (tmp_path / "images.bin").write_bytes(content)
        index = pd.DataFrame(rows, columns=INDEX)
        index.to_csv(tmp_path / "index.csv", index=False)
        return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")

    return make


def _picture(k: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    waves = [20 * k + 6 * np.sin(x / 5), 128 + 90 * np.cos(y / 7 + k), 128 + 90 * np.sin(x + y)]
    return np.stack(waves, axis=2).clip(0, 255).astype(np.uint8)


@pytest.fixture
def alike() -> Callable[[object, object], bool]:
    """Whether two samples may come from one distribution (Kolmogorov and Smirnov)."""
    return lambda one, other: stats.ks_2samp(one, other).pvalue > 0.01
