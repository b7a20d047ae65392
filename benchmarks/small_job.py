"""The share of a small job's wall time that is not the training step, start-up included.

The job: all layers of a ResNet-18 from scratch on 250 images and 50 for validation, 64 px, with a
random resized crop and a flip, 25 epochs in batches of 32. Each side runs it as a process of its
own, from the start of the interpreter to its exit, on files that are there before: JPEGs for the
tutorial; cache, split, backbone and MLflow store for headstart, which its workflow makes once for
all runs. Both log all their metrics and the model to MLflow, the tutorial each step's loss as it
comes. What counts as the step, on both sides, stands in step_timer.py.
"""

import os
import pickle
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import measuring
import torch
from material import (
    CROP,
    Photographs,
    photographs,
    run_files,
    run_name,
    strategy,
    training_files,
)
from table import SECONDS, SHARE, Row, compared

from headstart import HeadstartError
from headstart.experiment import config
from headstart.training.jobs import Job, TrainingFiles

SIZE, EPOCHS, EVERY, IMAGES = 64, 25, 6, 300
_HERE = Path(__file__).parent


def rows(folder: Path, quick: bool) -> list[Row]:
    repeats, epochs = (1, 8) if quick else (5, EPOCHS)
    pictures = photographs(folder, IMAGES, cache_size=96)
    files = training_files(
        folder,
        pictures,
        config.Backbone("resnet18", "timm", "none"),
        config.Image(SIZE, 0.875, "bilinear", None, None, 96),
        EVERY,
    )
    _split_files(pictures)
    numbers = count()
    jobs = {
        "headstart": lambda: headstart_job(folder / f"run-{next(numbers)}", files, epochs),
        "tutorial": lambda: tutorial_job(folder / f"run-{next(numbers)}", pictures, epochs),
    }
    parts = measuring.interleaved(jobs, repeats, uncounted=0)
    shares = {name: [100 * outside_share(*p) for p in measured] for name, measured in parts.items()}
    outside = {name: [wall - step for wall, step in measured] for name, measured in parts.items()}
    name = f"small job ({epochs} epochs), share outside the step"
    return [
        compared(name, shares["headstart"], shares["tutorial"], 5.0, SHARE),
        compared(
            f"small job ({epochs} epochs), seconds outside the step",
            outside["headstart"],
            outside["tutorial"],
            None,
            SECONDS,
        ),
    ]


def outside_share(wall: float, step: float) -> float:
    """The part of `wall` seconds that was not spent in the step."""
    return (wall - step) / wall


def _split_files(pictures: Photographs) -> None:
    """The tutorial's folders train and val beside the files, with headstart's own division."""
    cache, _ = pictures.open()
    for number, image in enumerate(cache.ids):
        target = pictures.files.parent / ("train" if number % EVERY else "val") / image
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures.files / image, target)


def headstart_job(folder: Path, files: TrainingFiles, epochs: int) -> tuple[float, float]:
    """Seconds of the whole process and of its steps."""
    phase = {"epochs": epochs, "optimizer": "sgd", "lr": 1e-3, "momentum": 0.9}
    job = Job(run_name("small"), strategy(phase, CROP), files, run_files(folder))
    (folder / "arguments").write_bytes(pickle.dumps((job, torch.get_num_threads())))
    command = ["headstart_job.py", str(folder / "arguments")]
    return _timed(command, folder / "step", measuring.HEADSTART)


def tutorial_job(folder: Path, pictures: Photographs, epochs: int) -> tuple[float, float]:
    """Seconds of the whole process and of its steps."""
    folder.mkdir()
    root = pictures.files.parent
    store = f"sqlite:///{root / 'tutorial.db'}"
    command = ["tutorial_job.py", str(root / "train"), str(root / "val"), str(SIZE), str(epochs)]
    return _timed([*command, store], folder / "step", measuring.TUTORIAL)


def _timed(command: list[str], output: Path, environment: dict[str, str]) -> tuple[float, float]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(_HERE / command[0]), *command[1:], str(output)],
        cwd=output.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - started
    if done.returncode:
        raise HeadstartError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1]}")
    return wall, float(output.read_text())
