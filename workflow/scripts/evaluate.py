"""Score a trained model on the test split, which nothing before has read."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from headstart import logs, paths
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache
from headstart.models import calibration
from headstart.report.figures import runs as figures
from headstart.tracking import connection, entries, outages
from headstart.tracking.runlog import RunLog
from headstart.verdict import evaluation

if TYPE_CHECKING:
    from headstart import prediction

logger = logging.getLogger("headstart.evaluate")


@dataclass(frozen=True)
class Files:
    model: Path
    history: Path
    run: Path
    train_val: Path
    test: Path
    classes: Path
    images: Path
    index: Path
    tracking: Path
    predictions: Path
    metrics: Path
    confusion: Path
    reliability: Path
    mistakes: Path
    curves: Path
    features: Path | None = None
    feature_ids: Path | None = None


def main(files: Files, flips: list[str], threads: int) -> None:
    run = json.loads(files.run.read_text())
    classes = json.loads(files.classes.read_text())
    cache = ImageCache.open(files.images, files.index)
    test = pd.read_csv(files.test, dtype=str, keep_default_na=False)
    train_val = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    unseen = train_val[train_val.split == "val"]
    fits = len(unseen) >= calibration.ENOUGH and not run["trained_on_val"]
    val = unseen if fits else unseen.iloc[:0]
    images = pd.concat([val, test])
    codes = pd.Categorical(images.label, categories=classes).codes.astype(np.int64)
    classifier = uncalibrated(files, run, classes, flips)
    probabilities = infer(files, classifier, cache, list(images.id), run["precision"], threads)
    temperature = calibration.temperature(probabilities[: len(val)], codes[: len(val)])
    probabilities = calibration.tempered(probabilities[len(val) :], temperature)
    predictions = evaluation.predictions_frame(
        list(test.id), codes[len(val) :], probabilities, classes
    )
    metrics = evaluation.evaluate(predictions, classes)
    metrics |= {"flips": flips, "temperature": temperature}
    predictions.to_parquet(files.predictions, index=False)
    files.metrics.write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n")
    figures.tested(predictions, metrics, cache, files.confusion.parent)
    figures.curves(pd.read_csv(files.history), files.curves, run["best_epoch"])
    accuracy = metrics["metrics"]["accuracy"]
    logger.info("test accuracy %(value).4f [%(low).4f, %(high).4f]", accuracy)
    with outages.spared(files.tracking):
        log = RunLog.open(connection.reach(files.tracking), run["mlflow_run_id"])
        with log.ending():
            entries.tested(log, files.metrics)


def uncalibrated(
    files: Files, run: dict, classes: list[str], flips: list[str]
) -> "prediction.Classifier":
    """The trained model as it is tested, but for the temperature that the test itself fits."""
    from headstart import prediction

    model = prediction.load_model(run, len(classes), files.model)
    loss = run["settings"]["strategy"]["training"]["loss"]
    image = run["settings"]["backbone"]["image"]
    return prediction.Classifier(model, classes, image, loss, tuple(flips))


def infer(
    files: Files,
    classifier: "prediction.Classifier",
    cache: ImageCache,
    ids: list[str],
    precision: str,
    threads: int,
) -> np.ndarray:
    """Class probabilities (len(ids), K); from cached features where there are any."""
    from headstart import prediction

    if files.features and files.feature_ids:
        position = {name: i for i, name in enumerate(files.feature_ids.read_text().splitlines())}
        features = np.load(files.features)[:, [position[name] for name in ids]]
        return prediction.from_features(classifier, features)
    device = devices.open_device(precision, threads)
    return prediction.probabilities(classifier, cache, ids, device)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            snakemake.params.flips,
            snakemake.threads,
        )
