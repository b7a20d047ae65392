"""What images that grow during training cost in accuracy, beside the time that they save.

The default experiment's photographs and pretrained network at 128 px, half of the photographs for
testing so that the interval is narrow. Two strategies, alike but for their images: one shows them
all at 128 px and in fp32, the other lets them grow from 48 px, the same share of the size as
finetuning.py's 80 of 224, in the precision that headstart chooses. Three seeds each, through the
whole workflow; its verdict pairs them by image and seed.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from material import ROOT, run_workflow
from table import Row, number

SEEDS = [0, 1, 2]
SIZE, START = 128, 48


def rows(folder: Path, quick: bool) -> list[Row]:
    """None in a quick run: less of this would show nothing."""
    return [] if quick else [difference(verdict(folder))]


def verdict(folder: Path) -> dict[str, Any]:
    """The verdict of the two strategies, run in the folder."""
    settings = experiment()
    run_workflow(folder / "project", settings)
    results = folder / "project/results" / settings["experiment"]
    return json.loads((results / "comparison/verdict.json").read_text())


def difference(verdict: dict[str, Any]) -> Row:
    """Accuracy of growing minus fixed with its 95 % interval, in points."""
    (pair,) = verdict["comparisons"]
    ends = [100 * pair[key] for key in ("difference", "low", "high")]
    if pair["a"] == "fixed":
        ends = [-ends[0], -ends[2], -ends[1]]
    shares = {row["strategy"]: f"{100 * row['accuracy']:.1f} %" for row in verdict["strategies"]}
    n = f"{verdict['n_test']} images, {verdict['n_seeds']} seeds"
    return Row(
        f"accuracy, {START} to {SIZE} px minus {SIZE} px, points",
        ends[0],
        None,
        f"{shares['growing']}, 95 % of the difference [{number(ends[1])}, {number(ends[2])}]",
        f"{shares['fixed']} ({n})",
    )


def experiment() -> dict[str, Any]:
    """The default experiment's settings with the two strategies in place of its own."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    settings["experiment"] = "growing"
    settings["dataset"]["split"] = {"test": 0.5, "val": 0.1}
    settings["image"]["size"] = SIZE
    full = settings["strategies"]["full"]
    (phase,) = full["phases"]
    fixed = phase | {"start_size": SIZE}
    settings["strategies"] = {
        "growing": full | {"phases": [phase | {"start_size": START}]},
        "fixed": full | {"phases": [fixed], "training": {"precision": "fp32"}},
    }
    settings["seeds"] = SEEDS
    return settings
