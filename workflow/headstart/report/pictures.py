"""Cached images as small pictures inside the page, each with what a model looked at if asked."""

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from headstart.data.cache import ImageCache

SIDE = 128
QUALITY = 75
#: Pictures shown on demand, of all matrices together.
MOST_ON_DEMAND = 300


@dataclass
class Album:
    """Pictures by image id; those that a script shows on demand are numbered and held once.

    Attributes:
        cache: has the images.
        framed: the share of the shorter side that a model sees, in a square at the centre.
    """

    cache: ImageCache
    framed: float
    numbers: dict[str, int] = field(default_factory=dict)

    def image(self, name: str) -> np.ndarray:
        """The cached image, uint8 (h, w, 3)."""
        return self.cache[int(self.cache.positions([name])[0])]

    def picture(self, name: str) -> dict[str, Any]:
        """A cached image's id and the picture of it as a data address."""
        return {"id": name, "source": encoded(self.image(name))}

    def looked_at(self, name: str, found: np.ndarray) -> str:
        """The picture under a heat map of the square that the model saw.

        Args:
            found: float (h, w), from 0 to 1; of any size.
        """
        image = self.image(name)
        height, width = image.shape[:2]
        side = min(height, width, round(min(height, width) * self.framed))
        top, left = (height - side) // 2, (width - side) // 2
        seen = np.zeros((height, width), np.float32)
        map_ = Image.fromarray(found.astype(np.float32))
        scaled = map_.resize((side, side), Image.Resampling.BICUBIC)
        seen[top : top + side, left : left + side] = np.clip(np.asarray(scaled), 0, 1)
        return encoded(heated(image, seen))

    def numbered(self, name: str, most: int) -> int | None:
        """The place of a picture among those shown on demand; None where it would be too many."""
        if name not in self.numbers and len(self.numbers) >= most:
            return None
        return self.numbers.setdefault(name, len(self.numbers))

    def on_demand(self) -> list[dict[str, Any]]:
        return [self.picture(name) for name in self.numbers]


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A grey image (h, w, 3) in whose stead colour tells the heat (h, w), from 0 to 1."""
    from matplotlib import colormaps

    grey = image.mean(axis=2, keepdims=True)
    colour = 255 * colormaps["inferno"](0.15 + 0.8 * heat)[..., :3]
    share = 0.65 * heat[..., None]
    return ((1 - share) * grey + share * colour).round().astype(np.uint8)


def encoded(image: np.ndarray) -> str:
    """A uint8 image (h, w, 3) within 128 × 128 pixels as the data address of a WebP."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return as_webp(picture, QUALITY)


def as_webp(picture: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
