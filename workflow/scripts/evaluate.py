"""Score a trained model on the test split, which nothing before has read."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart import logs, paths, tracking
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache
from headstart.report.figures import runs as figures
from headstart.verdict import evaluation

logger = logging.getLogger("headstart.evaluate")

_WORST = 12


@dataclass(frozen=True)
class Files:
    model: Path
    history: Path
    run: Path
    test: Path
    classes: Path
    images: Path
    index: Path
    backbone: Path
    tracking: Path
    predictions: Path
    metrics: Path
    confusion: Path
    reliability: Path
    mistakes: Path
    curves: Path


def main(files: Files, flips: list[str], threads: int) -> None:
    from headstart import prediction

    run = json.loads(files.run.read_text())
    classes = json.loads(files.classes.read_text())
    cache = ImageCache.open(files.images, files.index)
    test = pd.read_csv(files.test, dtype=str, keep_default_na=False)
    description = json.loads(files.backbone.read_text())
    loss = run["settings"]["strategy"]["training"]["loss"]
    model = prediction.load_model(description, len(classes), files.model)
    probabilities = prediction.probabilities(
        prediction.Classifier(model, classes, description["image"], loss, tuple(flips)),
        cache,
        list(test.id),
        devices.open_device(run["precision"], threads),
    )
    codes = pd.Categorical(test.label, categories=classes).codes.astype(np.int64)
    predictions = evaluation.predictions_frame(list(test.id), codes, probabilities, classes)
    metrics = evaluation.evaluate(predictions, classes) | {"flips": flips}
    predictions.to_parquet(files.predictions, index=False)
    files.metrics.write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n")
    draw(files, predictions, metrics, cache, run["best_epoch"])
    accuracy = metrics["metrics"]["accuracy"]
    logger.info("test accuracy %(value).4f [%(low).4f, %(high).4f]", accuracy)
    track(files, run["mlflow_run_id"], metrics)


def draw(
    files: Files, predictions: pd.DataFrame, metrics: dict, cache: ImageCache, best_epoch: int
) -> None:
    confidence = predictions.filter(like="p:").max(axis=1)
    wrong = predictions.assign(confidence=confidence)[predictions.predicted != predictions.label]
    worst = wrong.nlargest(_WORST, "confidence")
    pictures = [cache[int(row)] for row in cache.positions(list(worst.id))]
    mistakes = zip(pictures, worst.label, worst.predicted, worst.confidence, strict=True)
    figures.confusion(np.array(metrics["confusion"]), metrics["classes"], files.confusion)
    figures.reliability(predictions, metrics["metrics"]["ece"]["value"], files.reliability)
    figures.worst_mistakes(list(mistakes), files.mistakes)
    figures.curves(pd.read_csv(files.history), files.curves, best_epoch)


def track(files: Files, run_id: str, metrics: dict[str, Any]) -> None:
    log = tracking.RunLog.open(tracking.read(files.tracking), run_id)
    log.metrics({f"test_{name}": metric["value"] for name, metric in metrics["metrics"].items()})
    log.files([files.metrics, files.predictions])
    log.files([files.confusion, files.curves, files.mistakes, files.reliability], "figures")
    log.end()


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.flips,
            snakemake.threads,
        )
