"""Near copies: recompressed, resized or brightened pictures are found, different ones are not."""

import io
from importlib.util import find_spec
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

from headstart.data import copies


def photographs(count: int) -> list[Image.Image]:
    """Distinct photographs that come with scikit-learn, cut into pieces."""
    spec = find_spec("sklearn")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "datasets/images"
    pieces = []
    for name in ("china.jpg", "flower.jpg"):
        with Image.open(folder / name) as image:
            whole = image.convert("RGB")
        for top in range(0, whole.height - 100, 106):
            for left in range(0, whole.width - 100, 128):
                pieces.append(whole.crop((left, top, left + 100, top + 100)))
    textured = [piece for piece in pieces if np.asarray(piece.convert("L")).std() > 30]
    assert len(textured) >= count
    return textured[:count]


def table(pictures: list[Image.Image], labels: list[str]) -> pd.DataFrame:
    hashes = [str(imagehash.phash(picture, hash_size=16)) for picture in pictures]
    ids = [f"{k:02d}" for k in range(len(pictures))]
    return pd.DataFrame({"id": ids, "label": labels, "sha256": ids, "phash": hashes})


def recompressed(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    ImageEnhance.Brightness(picture).enhance(1.1).resize((90, 90)).save(buffer, "JPEG", quality=40)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def test_altered_copies_are_found_and_nothing_else() -> None:
    originals = photographs(20)
    pictures = [*originals, *map(recompressed, originals[:5])]
    labels = ["a"] * 20 + ["a", "b"] + ["a"] * 3
    found = copies.near(table(pictures, labels))
    pairs = set(zip(found.id, found.other, strict=True))
    expected = {(f"{k:02d}", f"{20 + k:02d}") for k in range(5)}
    assert pairs == expected
    torn = found[found.label != found.other_label]
    assert list(torn.other) == ["21"] and found.cosine.isna().all()
    assert (found.hash_distance.diff().dropna() >= 0).all()


def test_features_find_what_the_hash_alone_does_not() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 256, (3, 32), dtype=np.uint8)
    bits[1] = bits[0]
    bits[1, :8] ^= 0xFF  # 64 of 256 bits
    frame = pd.DataFrame({"id": list("abc"), "label": "x", "sha256": list("abc")})
    frame["phash"] = [row.tobytes().hex() for row in bits]
    features = rng.normal(size=(3, 40)).astype(np.float32)
    features[1] = 3 * features[0]
    assert copies.near(frame).empty
    found = copies.near(frame, features)
    assert found[["id", "other", "hash_distance"]].values.tolist() == [["a", "b", 64]]
    assert np.isclose(found.cosine[0], 1)


def test_exact_copies_count_once_and_are_told_under_two_labels() -> None:
    frame = table(photographs(1) * 3, ["x"] * 3).assign(sha256="same")
    assert copies.near(frame).empty
    found = copies.near(frame.assign(label=["x", "x", "y"]))
    assert found[["id", "other", "label", "other_label"]].values.tolist() == [
        ["00", "02", "x", "y"]
    ]
    assert found.hash_distance.tolist() == [0]
