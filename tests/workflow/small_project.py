"""A small project on real photographs, and Snakemake run in it."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
PER_CLASS = 40
PHASE = {"train": "all", "epochs": 2, "lr": 0.001, "schedule": "one_cycle"}
CONFIG = {
    "experiment": "cells",
    "dataset": {"source": "folder", "path": "images", "split": {"test": 0.3, "val": 0.2}},
    "image": {"size": 32, "crop_pct": 1.0},
    "augmentation": [{"name": "horizontal_flip"}],
    "features": {"views": 2},
    "training": {"batch_size": 16},
    "strategies": {
        "head_only": {"init": "pretrained", "phases": [{"train": "head", "epochs": 3, "lr": 0.01}]},
        "full": {"init": "pretrained", "phases": [PHASE | {"head_lr_multiplier": 10}]},
        "scratch": {"init": "random", "phases": [PHASE]},
    },
    "seeds": [0],
    "report": {"title": "Cells"},
}
SHORT = {"train": "all", "epochs": 1, "steps": 4, "lr": 3.0e-4}
PROBE = {"train": "probe", "classifier": "logistic_regression", "strengths": 3, "views": "all"}
#: The same with trials, derived strategies and two seeds.
TUNED = CONFIG | {
    "strategies": {
        "probe": {"init": "pretrained", "phases": [PROBE]},
        "lp_ft": {"init": "pretrained", "phases": [PROBE, SHORT]},
    },
    "derived": {
        "soup": {"kind": "wise_ft", "of": "lp_ft", "start": "probe"},
        "mean": {"kind": "ensemble", "of": "lp_ft"},
    },
    "tuning": {"trials": 2},
    "seeds": [0, 1],
}
#: Two GPUs, which are pretended: the number of threads of a training follows from them.
LIMIT = ("--resources", "gpu=2")
GPUS = {"CUDA_VISIBLE_DEVICES": "0,1", "HEADSTART_PRETENDED_GPUS": "1"}
RUNS = Path("results/cells/runs")
FULL = RUNS / "full/fraction-1.0/split-0/seed-0"


def snakemake(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--cores", "4", *arguments]
    return subprocess.run(
        [*command, "--configfile", "experiment.yaml"],
        cwd=project,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def write_config(project: Path, config: dict) -> None:
    (project / "experiment.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def planned(project: Path, *targets: str) -> dict[str, int]:
    """Jobs per rule that a dry run announces."""
    done = snakemake(project, *targets, "--dry-run")
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    if "Job stats:" not in output:
        assert "Nothing to be done" in output
        return {}
    table = output[output.rindex("Job stats:") :]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("all", "total")}


def check_out(project: Path) -> None:
    """Copy what Snakemake needs of this checkout, and put images beside it."""
    for name in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", project)
    write_images(project / "images")


def write_images(folder: Path) -> None:
    """The project's own images, three broken files among them."""
    write_cells(folder, slice(PER_CLASS))
    whole = next((folder / "functional").iterdir()).read_bytes()
    (folder / "functional" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "functional" / "nothing.jpg").touch()
    (folder / "defective" / "text.jpg").write_text("no image")


def write_cells(folder: Path, part: slice) -> None:
    """A part of the functional and of the defective cells, in class folders."""
    spec = find_spec("elpv_dataset")
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent / "data"
    rows = pd.read_csv(data / "labels.csv", sep=r"\s+", names=["path", "probability", "type"])
    for name, chosen in (
        ("functional", rows[rows.probability == 0]),
        ("defective", rows[rows.probability == 1]),
    ):
        (folder / name).mkdir(parents=True)
        for path in chosen.path[part]:
            with Image.open(data / path) as image:
                image.resize((48, 48)).save(folder / name / f"{Path(path).stem}.jpg", quality=95)
