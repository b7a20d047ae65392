"""Score a trained model on a further test set, as it was tested at home.

The temperature and the flips are those of the home evaluation: nothing is fitted here.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import logs, paths
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache
from headstart.verdict import evaluation

logger = logging.getLogger("headstart.evaluate_further")


@dataclass(frozen=True)
class Files:
    run: Path
    classes: Path
    test: Path
    images: Path
    index: Path
    predictions: Path
    metrics: Path


def main(files: Files, threads: int) -> None:
    from headstart import prediction

    precision = json.loads(files.run.read_text())["precision"]
    device = devices.open_device(precision, threads)
    classifier = prediction.trained(files.classes.parent, files.run.parent)
    test = pd.read_csv(files.test, dtype=str, keep_default_na=False)
    codes = pd.Categorical(test.label, categories=classifier.classes).codes.astype(np.int64)
    cache = ImageCache.open(files.images, files.index)
    probabilities = prediction.probabilities(classifier, cache, list(test.id), device)
    predictions = evaluation.predictions_frame(
        list(test.id), codes, probabilities, classifier.classes
    )
    metrics = evaluation.evaluate(predictions, classifier.classes)
    metrics |= {"flips": list(classifier.flips), "temperature": classifier.temperature}
    predictions.to_parquet(files.predictions, index=False)
    files.metrics.write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n")
    logger.info("accuracy %(value).4f [%(low).4f, %(high).4f]", metrics["metrics"]["accuracy"])


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.threads)
