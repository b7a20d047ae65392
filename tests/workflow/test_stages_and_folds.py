"""Strategies from cached maps, folds and groups, run for real."""

import json
from pathlib import Path

import pandas as pd
import pytest
from small_project import CONFIG, PER_CLASS, RUNS, planned, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def test_last_stages_on_unchanging_images_train_from_cached_maps(changed: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    phase = {"train": "last_k_stages", "stages": 2, "epochs": 2, "lr": 0.001}
    config["strategies"] = {"last": {"init": "pretrained", "augmentation": [], "phases": [phase]}}
    write_config(changed, config)
    jobs = planned(changed)
    assert jobs == {"prefix": 1, "train_from_features": 1, "evaluate": 1} | dict.fromkeys(
        ("evidence", "compare", "report"), 1
    )
    metrics = RUNS / "last/fraction-1.0/split-0/seed-0/metrics.json"
    done = snakemake(changed, str(metrics))
    assert done.returncode == 0, done.stderr
    run = json.loads((changed / metrics.with_name("run.json")).read_text())
    assert run["feature_seconds"] > 0
    assert 1280 * 2 + 2 < run["trainable_parameters"] < run["parameters"]
    maps = changed / "results/cells/features/before_last_2.npy"
    assert maps.stat().st_size > 2 * PER_CLASS * 4 * 192


def head_alone(split: dict, seeds: list[int]) -> dict:
    """The small experiment with one quick strategy and another split."""
    config = json.loads(json.dumps(CONFIG))
    config["dataset"]["split"] = split
    config["strategies"] = {"head_only": CONFIG["strategies"]["head_only"]}
    return config | {"seeds": seeds}


def test_folds_test_every_image_once(changed: Path) -> None:
    write_config(changed, head_alone({"val": 0.2, "folds": 2}, [0]))
    done = snakemake(changed)
    assert done.returncode == 0, done.stderr
    folders = [changed / RUNS / f"head_only/fraction-1.0/split-{k}/seed-0" for k in range(2)]
    tested = pd.concat(pd.read_parquet(folder / "predictions.parquet") for folder in folders)
    assert sorted(tested.id) == sorted(pd.read_csv(changed / "results/cells/split.csv").id)
    runs = pd.read_csv(changed / "results/cells/comparison/runs.csv")
    assert list(runs.split) == [0, 1] and runs.n_test.sum() == 2 * PER_CLASS
    verdict = json.loads((changed / "results/cells/comparison/verdict.json").read_text())
    assert verdict["n_test"] == 2 * PER_CLASS
    accuracy = (tested.label == tested.predicted).mean()
    assert verdict["strategies"][0]["mean"] == pytest.approx(accuracy)
    assert "2 splits × 1 seed" in verdict["statement"]


def test_a_further_seed_leaves_redrawn_splits_as_they_are(changed: Path) -> None:
    def metrics(*seeds: int) -> list[str]:
        run = RUNS / "head_only/fraction-1.0"
        return [str(run / f"split-{seed}/seed-{seed}/metrics.json") for seed in seeds]

    split = {"test": 0.3, "val": 0.2, "redraw": True}
    write_config(changed, head_alone(split, [0, 1]))
    done = snakemake(changed, *metrics(0, 1), "results/cells/split.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(changed / "results/cells/split.csv")
    assert list(table) == ["id", "split-0", "split-1"]
    assert (table["split-0"] != table["split-1"]).any()
    write_config(changed, head_alone(split, [0, 1, 5]))
    once = ("split", "train_from_features", "test_features", "evaluate")
    assert planned(changed, *metrics(0, 1, 5)) == dict.fromkeys(once, 1)


def test_no_group_stands_on_two_sides(changed: Path) -> None:
    for number, path in enumerate(sorted((changed / "images").glob("*/*.jpg"))):
        path.rename(path.with_name(f"module{number // 4:04d}-{path.name}"))
    config = head_alone({"test": 0.3, "val": 0.2}, [0])
    config["dataset"]["group"] = r"(module\d+)-"
    write_config(changed, config)
    done = snakemake(changed, "results/cells/split.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(changed / "results/cells/split.csv")
    groups = table.id.str.extract(r"(module\d+)-")[0]
    assert groups.nunique() >= 20 and table["split-0"].nunique() == 3
    assert table["split-0"].groupby(groups).nunique().max() == 1
