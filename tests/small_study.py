"""A small study, made without training: drawn predictions, judged by the real comparison."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from headstart import provenance
from headstart.data.cache import ImageCache
from headstart.report.study import Study
from headstart.verdict import comparison, evaluation, mistakes, reading, tables

HOSTILE = "<img src=x onerror=alert(1)>"
SIDE = 40
SKILL = {"full": 2.2, "head_only": 1.6, "scratch": 0.5}
SETTINGS = {"strategy": {"note": HOSTILE}}


def photograph(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def figure(path: Path, noise: bool = False) -> Path:
    """A PNG of a figure, or of a photograph."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blank = np.full((300, 400, 3), 250, np.uint8)
    Image.fromarray(photograph(0, 300, 400) if noise else blank).save(path)
    return path


def write_cache(folder: Path, ids: list[str]) -> ImageCache:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([photograph(k) for k in range(len(ids))])
    (folder / "images.bin").write_bytes(pixels.tobytes())
    index = pd.DataFrame({"id": ids, "height": SIDE, "width": SIDE})
    index.insert(1, "offset", np.arange(len(ids)) * SIDE * SIDE * 3)
    index["sha256"] = [str(k) for k in range(len(ids))]
    index.to_csv(folder / "index.csv", index=False)
    return ImageCache.open(folder / "images.bin", folder / "index.csv")


def write_run(folder: Path, place: dict[str, Any], test: list[str], classes: list[str]) -> Path:
    """A run that never was: as able as its strategy, with some luck of its seed."""
    folder.mkdir(parents=True)
    key = hashlib.sha256(json.dumps(place).encode()).digest()
    rng = np.random.default_rng(list(key))
    labels = np.arange(len(test)) % len(classes)
    skill = SKILL.get(place["strategy"], 1.0) * place["fraction"] ** 0.3
    logits = rng.normal(0, 1, (len(test), len(classes))) + skill * np.eye(len(classes))[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = evaluation.predictions_frame(test, labels, shares, classes)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    metrics = evaluation.evaluate(predictions, classes)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    epochs = np.arange(1, 4)
    curve = {"epoch": epochs, "val_accuracy": 1 - 0.5 / epochs}
    pd.DataFrame(curve).to_csv(folder / "history.csv", index=False)
    made_by = {**place, **dict.fromkeys(provenance.DEVICE_SECONDS, 7.0), "feature_seconds": 0.0}
    made_by |= {"n_train": 90, "n_val": 20, "trials": 2, "epochs": 3, "best_epoch": 3}
    made_by |= {"train_seconds": 9.0, "images_per_second": 70.0, "peak_memory_bytes": 2e9}
    made_by |= {"trainable_parameters": 10, "device": "a CPU", "mlflow_run_id": "run-id-7"}
    made_by |= {"settings": SETTINGS, "versions": {"torch": "2"}, "split_hash": "5p1i7"}
    (folder / "run.json").write_text(json.dumps(made_by))
    maps = rng.uniform(0, 1, (8, 3, 3)).astype(np.float16)
    worst = mistakes.worst(predictions, mistakes.MOST_SHOWN).id.to_numpy(str)
    np.savez_compressed(folder / "evidence.npz", ids=worst, maps=maps[: len(worst)])
    return folder


def make(
    root: Path,
    strategies: tuple[str, ...] = ("full", "head_only", "scratch"),
    classes: tuple[str, ...] = ("a", "b"),
    *,
    fractions: tuple[float, ...] = (1.0,),
    seeds: tuple[int, ...] = (0, 1, 2),
    n_test: int = 60,
) -> Study:
    """A study with its files in a folder; test images go to the classes in turn."""
    test = [f"test/{k:03d}.jpg" for k in range(n_test)]
    others = [f"{part}/{k}.jpg" for part in ("train", "val") for k in range(len(classes))]
    folders = [
        write_run(
            root / "runs" / name / f"fraction-{fraction}" / f"seed-{seed}",
            {"strategy": name, "fraction": fraction, "split": 0, "seed": seed},
            test,
            list(classes),
        )
        for name in strategies
        for fraction in fractions
        for seed in seeds
    ]
    results = reading.read(folders)
    labels = [classes[k % len(classes)] for k in range(n_test)] + list(classes) * 2
    parts = ["test"] * n_test + ["train"] * len(classes) + ["val"] * len(classes)
    manifest = pd.DataFrame({"id": test + others, "label": labels, "status": "ok", "group": ""})
    groups = manifest.set_index("id")["group"]
    accuracies, judged = reading.studies(results, groups, "accuracy")
    runs = tables.runs_table(results)
    floor = {"accuracy": 0.61, "low": 0.5, "high": 0.7, "n_test": n_test, "alone": {"size": 0.6}}
    manifest.loc[len(manifest)] = ["bad", "x", f"broken {HOSTILE}", ""]
    doubtful = {"label": "a", "believed": HOSTILE, "probability": 0.9, "label_probability": 0.1}
    alike = {"id": test[0], "other": test[1], "label": "a", "other_label": "b"}
    return Study(
        experiment={"experiment": "small", "report": {"title": "Small <b>study</b>"}},
        verdict=comparison.compare(runs, judged, 1.0, floor),
        summary=tables.summary_table(runs, accuracies),
        runs_table=runs,
        run_dirs=folders,
        manifest=manifest,
        split=pd.DataFrame({"id": test + others, "split-0": parts}),
        notes=[f"duplicates: {HOSTILE}"],
        cache=write_cache(root / "cache", test + others),
        image={"size": 32, "resize": 40},
        suspects=pd.DataFrame([{"id": test[2], **doubtful}]),
        copies=pd.DataFrame([alike]),
        sanity_figures={"photographs": figure(root / "b.png", noise=True)},
    )


def tuned(study: Study) -> list[dict[str, Any]]:
    """What choice.json would hold for every strategy of a study."""
    trial = {"val_loss": 0.5, "val_accuracy": 0.8, "device_seconds": 1.0}
    trials = [{**trial, "tried": {"lr": 0.001}}, {**trial, "tried": {"lr": 0.003}, "val_loss": 0.4}]
    place = {"fraction": "1.0", "split": "0"}
    return [
        {
            "place": {"strategy": name, **place},
            "chosen": 1,
            "edge": "lr",
            "images": 24,
            "trials": trials,
        }
        for name in study.compared
    ]
