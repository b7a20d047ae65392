"""Cost and memory against the number of images, 32 px and generated.

Building the cache, extracting features and training for an epoch are timed once at each number,
with timm's smallest ResNet, and a straight line is fitted by least squares; R² decides, and the
largest residual stands beside it as a share of the largest time. Each training runs in a process
of its own. Its resident memory includes pages of the mapped cache, which the kernel keeps while
nothing else needs the room; what may not grow with the images is its private memory. Only the full
version has images enough to show that. The split of a manifest of a million rows is timed whole.
"""

import hashlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path

import finetuning
import measuring
import numpy as np
import pandas as pd
import torch
import trainings
from material import strategy
from PIL import Image
from scipy import stats
from table import Row, number

from headstart.compute import devices
from headstart.data import cache, splits
from headstart.data import manifest as manifests
from headstart.experiment import config
from headstart.models import backbones
from headstart.models.backbones import Prepared
from headstart.training import features

SIZE, BATCH, CLASSES = 32, 128, 10
NETWORK = "test_resnet"
R_SQUARED, GROWTH, SPLIT_SECONDS, SPLIT_ROWS = 0.99, 1.1, 30.0, 1_000_000
_WHAT = {"cache": "building the cache", "features": "extraction", "training": "an epoch"}


@dataclass(frozen=True)
class Line:
    """A least-squares line through costs: seconds = intercept + slope * images."""

    slope: float
    intercept: float
    r_squared: float
    largest_residual: float


def rows(folder: Path, quick: bool) -> list[Row]:
    numbers = [1_000, 3_000, 9_000] if quick else [1_000, 3_000, 10_000, 30_000, 100_000]
    manifest = write_images(folder, numbers[-1])
    seconds: dict[str, list[float]] = {name: [] for name in _WHAT}
    memory = []
    with measuring.process(measuring.HEADSTART) as side:
        for images in numbers:
            part, place = manifest.iloc[:images], folder / str(images)
            seconds["cache"].append(side.run(cache_seconds, place, part))
            seconds["features"].append(side.run(feature_seconds, place))
    for images in numbers:
        with measuring.process(measuring.HEADSTART) as side:
            spent, resident, private = side.run(training_cost, folder / str(images))
        seconds["training"].append(spent)
        memory.append((resident, private))
    found = [line_row(name, numbers, seconds[name]) for name in _WHAT]
    return [*found, *memory_rows(numbers, memory), split_row()]


def line_row(name: str, numbers: list[int], seconds: list[float]) -> Row:
    line = fit(numbers, seconds)
    return Row(
        f"{_WHAT[name]}, {numbers[0]:,} to {numbers[-1]:,} images: R² of a line",
        line.r_squared,
        R_SQUARED,
        f"{1000 * line.slope:.3g} ms an image",
        f"largest residual {100 * line.largest_residual:.1f} %",
    )


def fit(numbers: list[int], seconds: list[float]) -> Line:
    """The line through (images, seconds); its largest residual as a share of the largest time."""
    result = stats.linregress(numbers, seconds)
    residuals = np.array(seconds) - (result.intercept + result.slope * np.array(numbers))
    worst = float(np.abs(residuals).max() / max(seconds))
    return Line(float(result.slope), float(result.intercept), float(result.rvalue) ** 2, worst)


def memory_rows(numbers: list[int], memory: list[tuple[float, float]]) -> list[Row]:
    """Growth from the fewest images to the most, of what is resident and of what is private."""
    found = []
    for name, position, bar in (("resident", 0, None), ("private", 1, GROWTH)):
        few, many = memory[0][position], memory[-1][position]
        found.append(
            Row(
                f"training's {name} memory, {numbers[-1]:,} over {numbers[0]:,} images",
                many / few,
                bar,
                f"{number(many / 2**20)} MiB",
                f"{number(few / 2**20)} MiB",
                at_most=True,
            )
        )
    return found


def write_images(folder: Path, count: int) -> pd.DataFrame:
    """JPEGs of noise, and as much of their manifest as a cache and a split need."""
    rng = np.random.default_rng(0)
    records = []
    for position in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(buffer, "JPEG")
        path = folder / "files" / f"{position // 1000:03d}" / f"{position:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        records.append((path.name, str(path), digest, "ok"))
    known = pd.DataFrame(records, columns=["id", "path", "sha256", "status"])
    return known.reindex(columns=manifests.COLUMNS)


def cache_seconds(folder: Path, manifest: pd.DataFrame) -> float:
    folder.mkdir()
    image = {"cache_size": SIZE, "interpolation": "bilinear"}
    started = time.perf_counter()
    cache.build(manifest, folder / "images.bin", folder / "index.csv", image, threads=2)
    return time.perf_counter() - started


def feature_seconds(folder: Path) -> float:
    description, weights = folder / "backbone.json", folder / "weights.safetensors"
    image = config.Image(SIZE, 1.0, None, None, None, SIZE)
    backbones.prepare(config.Backbone(NETWORK, "timm", "none"), image, description, weights)
    images = cache.ImageCache.open(folder / "images.bin", folder / "index.csv")
    device = devices.open_device("auto", torch.get_num_threads())
    backbone = Prepared.read(description, weights)
    started = time.perf_counter()
    features.extract(images, backbone, [], 1, device, folder / "pooled.npy")
    return time.perf_counter() - started


def training_cost(folder: Path) -> tuple[float, float, float]:
    """Seconds of an epoch and what the process then held: peak resident and private bytes."""
    device = devices.open_device("auto", torch.get_num_threads())
    image = json.loads((folder / "backbone.json").read_text())["image"]
    images = cache.ImageCache.open(folder / "images.bin", folder / "index.csv")
    rows = np.arange(len(images))
    chosen = trainings.examples(rows % 2, rows, rows[:BATCH])
    shown = strategy({"epochs": 1}, batch_size=BATCH)
    batches = trainings.image_batches(images, chosen, shown, image, device)
    history = finetuning.fit(NETWORK, batches, device)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak, private = (1024.0 * int(status[name].split()[0]) for name in ("VmHWM", "RssAnon"))
    return history[-1]["seconds"], peak, private


def split_row() -> Row:
    """A manifest of ten classes in which one image in a hundred is a copy of another."""
    positions = np.arange(SPLIT_ROWS)
    originals = np.where(positions % 100, positions, positions // 2)
    manifest = pd.DataFrame(
        {
            "id": [f"{position:07d}.jpg" for position in positions],
            "label": [f"class {position % CLASSES}" for position in positions],
            "sha256": [f"{original:064x}" for original in originals],
            "status": "ok",
            "split": "",
            "group": "",
        }
    )
    started = time.perf_counter()
    splits.split(manifest, config.Split(test=0.2, val=0.1, seed=0))
    seconds = time.perf_counter() - started
    return Row(
        "splitting a manifest of 1,000,000 rows, seconds",
        seconds,
        SPLIT_SECONDS,
        f"{number(seconds)} s",
        "",
        at_most=True,
    )
