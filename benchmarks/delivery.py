"""Images delivered per second, normalised and in batches, from epoch 2 on.

Both sides draw the same augmentation at 224 px: a random resized crop and a flip, or a random
224 px crop of the image at 256 px and a flip. headstart reads the cache that its first epoch would
have waited for, so the time to build that is measured too, on two threads as in the workflow, and
given as the number of epochs after which it is won back. The manifest, which has other purposes,
is not counted.
"""

import statistics
import time
from pathlib import Path

import baseline
import measuring
import numpy as np
import torch
import trainings
from material import CROP, CROP_FLIP, IMAGE, Photographs, Transforms, photographs, strategy
from table import RATE, Row, compared, spread

from headstart.compute import devices

BATCH = 32
CACHE_SIZE = 256
_EPOCHS = 4  # headstart's are too short to time one


def rows(folder: Path, quick: bool) -> list[Row]:
    return measured(folder, images=128 if quick else 512, repeats=3 if quick else 5)


def measured(folder: Path, images: int, repeats: int) -> list[Row]:
    pictures = photographs(folder, images, CACHE_SIZE)
    with (
        measuring.process(measuring.HEADSTART) as headstart,
        measuring.process(measuring.TUTORIAL) as tutorial,
    ):
        found = measuring.interleaved(
            {
                "crop": lambda: headstart.run(headstart_rate, pictures, CROP),
                "tutorial crop": lambda: tutorial.run(tutorial_rate, pictures, baseline.CROP),
                "flip": lambda: headstart.run(headstart_rate, pictures, CROP_FLIP),
                "tutorial flip": lambda: tutorial.run(tutorial_rate, pictures, baseline.CROP_FLIP),
                "build": lambda: headstart.run(build_seconds, pictures),
            },
            repeats,
        )
    crop, tutorial_crop = found["crop"], found["tutorial crop"]
    return [
        compared("delivery, random resized crop", crop, tutorial_crop, 4.0, RATE),
        compared("delivery, crop and flip", found["flip"], found["tutorial flip"], 15.0, RATE),
        Row(
            "cache: epochs until it is repaid, random resized crop",
            epochs_to_repay(
                statistics.median(found["build"]) / images,
                1 / statistics.median(crop),
                1 / statistics.median(tutorial_crop),
            ),
            2.0,
            spread([images / seconds for seconds in found["build"]], "images/s to build"),
            "",
            at_most=True,
        ),
    ]


def epochs_to_repay(build: float, ours: float, theirs: float) -> float:
    """Epochs after which building and reading a cache took no longer than decoding each time.

    Args:
        build, ours, theirs: seconds an image, of building the cache, of delivering from it and
            of decoding. Infinite where delivering from the cache is no faster.
    """
    return build / (theirs - ours) if theirs > ours else float("inf")


def headstart_rate(pictures: Photographs, transforms: Transforms) -> float:
    """Images per second over a few epochs."""
    device = devices.open_device("auto", torch.get_num_threads())
    cache, labels = pictures.open()
    shown = strategy({"epochs": 1}, transforms, batch_size=BATCH)
    positions = np.arange(len(cache))
    chosen = trainings.examples(labels, positions, positions[:1])
    batches = trainings.image_batches(cache, chosen, shown, IMAGE, device)
    started = time.perf_counter()
    seen = sum(len(images) for epoch in range(_EPOCHS) for images, _ in batches.train(epoch))
    return seen / (time.perf_counter() - started)


def tutorial_rate(pictures: Photographs, view: str) -> float:
    """Images per second over one epoch."""
    batches = baseline.loader(pictures.files, IMAGE["size"], BATCH, view)
    started = time.perf_counter()
    seen = baseline.deliver(batches)
    return seen / (time.perf_counter() - started)


def build_seconds(pictures: Photographs) -> float:
    started = time.perf_counter()
    pictures.build_cache(CACHE_SIZE)
    return time.perf_counter() - started
