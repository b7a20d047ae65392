"""headstart beside the tutorial's way and the machine's ceiling, interleaved in one run.

Writes benchmarks/RESULTS.md. Ratios decide; absolute rates are only shown.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import baseline
import torch

from headstart import augmentation, backbones, config, devices
from headstart.config import Transform
from headstart.data import cache, manifest, sources
from headstart.data.batches import Normalizer, epoch_order, image_batches

RESULTS = Path(__file__).parent / "RESULTS.md"
FLIP = (Transform("horizontal_flip", (("p", 0.5),)),)
CROP = (
    Transform("random_resized_crop", (("ratio", (0.75, 1.3333)), ("scale", (0.08, 1.0)))),
    *FLIP,
)
BATCH = 32


@dataclass(frozen=True)
class Row:
    """Rates of one comparison, in images per second, one entry per repeat."""

    name: str
    ours: list[float]
    theirs: list[float]
    against: str
    bar: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def line(self) -> str:
        cells = [self.name, _spread(self.ours), f"{_spread(self.theirs)} ({self.against})"]
        verdict = "yes" if self.ratio >= self.bar else "**no**"
        return f"| {' | '.join(cells)} | {self.ratio:.2f} | {self.bar} | {verdict} |"


def _spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} [{min(rates):,.0f}, {max(rates):,.0f}]"


def interleaved(
    first: Callable[[], int], second: Callable[[], int], repeats: int
) -> tuple[list[float], list[float]]:
    """Rates of two functions that return how many images they handled, run in turns."""
    first(), second()
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for function, into in zip((first, second), rates, strict=True):
            started = time.perf_counter()
            seen = function()
            into.append(seen / (time.perf_counter() - started))
    return rates


class Bench:
    """Real photographs as files and as a cache, and the device that both sides use."""

    def __init__(self, folder: Path, images: int, device: devices.Device) -> None:
        settings = config.load(Path(__file__).parent.parent / "config/config.yaml")
        listing = sources.list_images(settings.dataset).iloc[:images]
        self.folder, self.device = folder / "files", device
        baseline.write_photographs(
            [Path(path) for path in listing.path], self.folder, list(listing.label)
        )
        jpegs = config.Dataset(source="folder", path=str(self.folder))
        table = manifest.build(sources.list_images(jpegs))
        self.labels = table.label.astype("category").cat.codes.to_numpy("int64")
        paths = folder / "images.bin", folder / "index.csv"
        cache.build(table, *paths, cache_size=256, interpolation="bicubic")
        self.cache = cache.ImageCache.open(*paths)

    def batches(self, transforms: tuple[Transform, ...], size: int):
        image = {
            "size": size,
            "resize": size,
            "interpolation": "bilinear",
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
        }
        order = epoch_order(self.labels, BATCH, "uniform", seed=0, epoch=1)
        transform = augmentation.training_transform(transforms, image)
        rows = torch.arange(len(self.labels)).numpy()
        images = image_batches(self.cache, rows, order, transform, Normalizer(image, self.device))
        for positions, batch in zip(order, images, strict=True):
            yield batch, torch.from_numpy(self.labels[positions])

    def delivery(self, transforms: tuple[Transform, ...], name: str, bar: float, repeats: int):
        ours, theirs = interleaved(
            lambda: sum(len(images) for images, _ in self.batches(transforms, 224)),
            lambda: baseline.deliver(baseline.loader(self.folder, 224, BATCH, transforms == CROP)),
            repeats,
        )
        return Row(name, ours, theirs, "tutorial", bar)

    def training(self, name: str, steps: int, repeats: int) -> list[Row]:
        """Full fine-tuning at 224 px against the tutorial, and against tensors already there."""
        torch.manual_seed(0)
        network = devices.place(backbones.create(name, "timm", 2), self.device)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
        plain = baseline.model(name, 2)
        fixed = [batch for batch, _ in zip(self.batches(CROP, 224), range(2), strict=False)]

        def steps_on(batches) -> int:
            seen = 0
            network.train()
            for _, (images, targets) in zip(range(steps), batches, strict=False):
                with devices.autocast(self.device):
                    loss = torch.nn.functional.cross_entropy(network(images).float(), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                seen += len(images)
            return seen

        tutorial = interleaved(
            lambda: steps_on(self.batches(CROP, 224)),
            lambda: baseline.train_steps(
                plain, iter(baseline.loader(self.folder, 224, BATCH, crop=True)), False, steps
            ),
            repeats,
        )
        ceiling = interleaved(
            lambda: steps_on(self.batches(CROP, 224)),
            lambda: steps_on(fixed * steps),
            repeats,
        )
        bar = 3.0 if "lite0" in name else 2.2
        return [
            Row(f"full fine-tuning, {name}, 224 px", *tutorial, "tutorial", bar),
            Row(f"share of the step's ceiling, {name}", *ceiling, "synthetic tensors", 0.93),
        ]


def report(rows: list[Row], device: devices.Device, repeats: int) -> str:
    head = [
        "# Benchmark",
        "",
        f"Hardware: {device}. torch {torch.__version__}, Python {platform.python_version()}.",
        f"Images per second, median [least, most] of {repeats} interleaved repeats; made by",
        "`make bench`. The tutorial's way is benchmarks/baseline.py; a ratio below its bar fails.",
        "",
        "| what | headstart | against | ratio | bar | met |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(row.line() for row in rows)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer images and repeats")
    quick = parser.parse_args().quick
    repeats, steps, images = (3, 2, 128) if quick else (5, 4, 512)
    device = devices.open_device("auto", torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), images, device)
        rows = [
            bench.delivery(CROP, "images delivered, random resized crop", 4.0, repeats),
            bench.delivery(FLIP, "images delivered, flip", 15.0, repeats),
            *bench.training("resnet18", steps, repeats),
            *bench.training("tf_efficientnet_lite0", steps, repeats),
        ]
    text = report(rows, device, repeats)
    print(text)
    RESULTS.write_text(text)
    return 0 if all(row.ratio >= row.bar for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
