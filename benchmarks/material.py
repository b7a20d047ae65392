"""Material to measure on: photographs as files and as a cache, strategies, run files, runs."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from headstart import HeadstartError
from headstart.data import cache, manifest, sources
from headstart.experiment import config, loading
from headstart.models import backbones
from headstart.provenance import RunName
from headstart.tracking import connection
from headstart.training.jobs import RunFiles, TrainingFiles

ROOT = Path(__file__).parent.parent
Transforms = list[dict[str, Any]]

CROP: Transforms = [{"name": "random_resized_crop"}, {"name": "horizontal_flip"}]
CROP_FLIP: Transforms = [{"name": "random_crop", "padding": 0}, {"name": "horizontal_flip"}]
IMAGE: dict[str, Any] = {
    "size": 224,
    "resize": 256,
    "interpolation": "bilinear",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


@dataclass(frozen=True)
class Photographs:
    """Solar cells: JPEGs in class folders, for the tutorial, and the cache of the same."""

    files: Path
    images: Path
    index: Path

    def build_cache(self, size: int) -> None:
        """Decode the files into the cache on two threads, as the workflow's rule does."""
        table = manifest.read(self.files.parent / "manifest.csv")
        image = {"cache_size": size, "interpolation": "bicubic"}
        cache.build(table, self.images, self.index, image, threads=2)

    def open(self) -> tuple[cache.ImageCache, np.ndarray]:
        """The cache and its images' class indices, int64 (n,)."""
        images = cache.ImageCache.open(self.images, self.index)
        classes, _ = pd.factorize(np.array([Path(i).parent.name for i in images.ids]), sort=True)
        return images, classes.astype(np.int64)


def photographs(
    folder: Path, count: int, cache_size: int = 256, label: str = "probability"
) -> Photographs:
    """The first photographs of the default experiment; from the first again when they run out.

    Args:
        label: the column to label them by: probability, of a defect, or type, of the cell.
    """
    dataset = loading.load(ROOT / "config/config.yaml").dataset
    assert dataset.table is not None
    if label != dataset.table.label:
        table = replace(dataset.table, label=label, threshold=None)
        dataset = replace(dataset, table=table)
    listing = sources.list_images(dataset)
    made = Photographs(folder / "files", folder / "images.bin", folder / "index.csv")
    for number in range(count):
        row = listing.iloc[number % len(listing)]
        path = made.files / row.label / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(row.path) as image:
            image.convert("RGB").save(path, quality=92)
    jpegs = config.Dataset(source="folder", path=str(made.files))
    manifest.build(sources.list_images(jpegs)).to_csv(folder / "manifest.csv", index=False)
    made.build_cache(cache_size)
    return made


def strategy(
    phase: dict[str, Any], augmentation: Transforms | None = None, **training: Any
) -> config.Strategy:
    """A strategy of one phase, with the schema's defaults for what is not given."""
    init = "pretrained" if phase.get("train") == "head" else "random"
    raw = {
        "experiment": "bench",
        "dataset": {"source": "folder", "path": "."},
        "augmentation": augmentation or [],
        "training": training,
        "strategies": {
            "measured": {"init": init, "phases": [{"train": "all", "lr": 1e-3} | phase]}
        },
    }
    return loading.from_dict(raw).strategies["measured"]


def training_files(
    folder: Path, pictures: Photographs, backbone: config.Backbone, image: config.Image, every: int
) -> TrainingFiles:
    """Everything that `runs.train` reads; one image in `every` is for validation."""
    files = TrainingFiles(
        backbone=folder / "backbone.json",
        weights=folder / "weights.safetensors",
        train_val=folder / "train_val.csv",
        classes=folder / "classes.json",
        images=pictures.images,
        index=pictures.index,
        tracking=folder / "tracking.json",
    )
    backbones.prepare(backbone, image, files.backbone, files.weights)
    ids = cache.ImageCache.open(pictures.images, pictures.index).ids
    labels = [Path(i).parent.name for i in ids]
    parts = ["train" if number % every else "val" for number in range(len(ids))]
    table = pd.DataFrame({"id": ids, "label": labels, "split": parts})
    table.to_csv(files.train_val, index=False)
    files.classes.write_text(json.dumps(sorted(set(labels))))
    files.tracking.write_text(json.dumps(connection.prepare(folder / "mlflow", "bench")))
    return files


def run_name(strategy: str) -> RunName:
    return RunName("bench", strategy, fraction=1.0, split=0, seed=0)


def run_files(folder: Path) -> RunFiles:
    """What a training writes, in a new folder of its own."""
    folder.mkdir()
    return RunFiles(
        folder / "model.safetensors",
        folder / "history.csv",
        folder / "run.json",
        folder / "resume.pt",
    )


def run_workflow(project: Path, experiment: dict[str, Any]) -> None:
    """Run the experiment to its report with a copy of the workflow, in the folder `project`.

    Raises:
        HeadstartError: it failed; the message has all lines of the output that name an error.
    """
    for name in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", project)
    (project / "experiment.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--configfile", "experiment.yaml"]
    # MLflow leaves there the store that this process used last.
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [*command, "--cores", str(torch.get_num_threads())],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reasons = [line.strip() for line in done.stderr.splitlines() if "Error" in line]
        raise HeadstartError(f"the workflow failed: {'; '.join(reasons)}")
