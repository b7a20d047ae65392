"""Score a trained model on the test split, which nothing before has read."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import logs, tracking
from headstart.compute import devices, leases
from headstart.data import manifest
from headstart.data.cache import ImageCache
from headstart.report.figures import runs as figures
from headstart.verdict import evaluation

logger = logging.getLogger("headstart.evaluate")

_WORST = 12


def main(
    folder: Path,
    manifest_path: Path,
    split: Path,
    classes_path: Path,
    images: Path,
    index: Path,
    backbone: Path,
    tracking_path: Path,
    flips: list[str],
    threads: int,
) -> None:
    """Read model, run.json and history of the run in `folder`, and write its test results there."""
    from headstart import prediction

    run = json.loads((folder / "run.json").read_text())
    classes = json.loads(classes_path.read_text())
    description = json.loads(backbone.read_text())
    rows = pd.read_csv(split, dtype=str, keep_default_na=False).merge(
        manifest.read(manifest_path)[["id", "label"]], on="id"
    )
    test = rows[rows.split == "test"]
    cache = ImageCache.open(images, index)
    probabilities = prediction.probabilities(
        prediction.load_model(description, len(classes), folder / "model.safetensors"),
        cache,
        list(test.id),
        description["image"],
        run["settings"]["strategy"]["training"]["loss"],
        devices.open_device(run["precision"], threads),
        flips,
    )
    codes = pd.Categorical(test.label, categories=classes).codes.astype(np.int64)
    predictions = evaluation.predictions_frame(list(test.id), codes, probabilities, classes)
    metrics = evaluation.evaluate(predictions, classes) | {"flips": flips}
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    (folder / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n")
    draw(folder / "figures", predictions, metrics, cache, run["best_epoch"])
    accuracy = metrics["metrics"]["accuracy"]
    logger.info("test accuracy %(value).4f [%(low).4f, %(high).4f]", accuracy)
    log = tracking.RunLog.open(tracking.read(tracking_path), run["mlflow_run_id"])
    log.metrics({f"test_{name}": metric["value"] for name, metric in metrics["metrics"].items()})
    log.files([folder / "metrics.json", folder / "predictions.parquet"])
    log.files(sorted((folder / "figures").glob("*.png")), "figures")
    log.end()


def draw(
    folder: Path, predictions: pd.DataFrame, metrics: dict, cache: ImageCache, best_epoch: int
) -> None:
    confidence = predictions.filter(like="p:").max(axis=1)
    wrong = predictions.assign(confidence=confidence)[predictions.predicted != predictions.label]
    worst = wrong.nlargest(_WORST, "confidence")
    pictures = [cache[int(row)] for row in cache.positions(list(worst.id))]
    mistakes = zip(pictures, worst.label, worst.predicted, worst.confidence, strict=True)
    figures.confusion(np.array(metrics["confusion"]), metrics["classes"], folder / "confusion.png")
    ece = metrics["metrics"]["ece"]["value"]
    figures.reliability(predictions, ece, folder / "reliability.png")
    figures.worst_mistakes(list(mistakes), folder / "mistakes.png")
    history = pd.read_csv(folder.parent / "history.csv")
    figures.curves(history, folder / "curves.png", best_epoch)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.manifest),
            Path(snakemake.input.split),
            Path(snakemake.input.classes),
            Path(snakemake.input.images),
            Path(snakemake.input.index),
            Path(snakemake.input.backbone),
            Path(snakemake.input.tracking),
            snakemake.params.flips,
            snakemake.threads,
        )
