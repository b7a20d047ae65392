"""Test the mean of the probabilities that a strategy's seeds give."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import logs, paths, provenance
from headstart.data.cache import ImageCache
from headstart.report.figures import runs as figures
from headstart.verdict import evaluation


@dataclass(frozen=True)
class Files:
    member_runs: tuple[Path, ...]
    member_predictions: tuple[Path, ...]
    classes: Path
    images: Path
    index: Path
    tracking: Path
    run: Path
    predictions: Path
    metrics: Path
    confusion: Path
    reliability: Path
    mistakes: Path


def main(files: Files, name: provenance.RunName) -> None:
    from headstart import derivation

    classes = json.loads(files.classes.read_text())
    members = [json.loads(path.read_text()) for path in files.member_runs]
    answers = [pd.read_parquet(path) for path in files.member_predictions]
    codes = pd.Categorical(answers[0].label, categories=classes).codes.astype(np.int64)
    predictions = evaluation.predictions_frame(
        list(answers[0].id), codes, derivation.averaged(answers, classes), classes
    )
    metrics = evaluation.evaluate(predictions, classes)
    predictions.to_parquet(files.predictions, index=False)
    files.metrics.write_text(json.dumps(metrics, ensure_ascii=False, indent=2) + "\n")
    cache = ImageCache.open(files.images, files.index)
    figures.tested(predictions, metrics, cache, files.metrics.with_name("figures"))
    run = derivation.record(members, asdict(name), "ensemble", 0.0) | {"members": len(members)}
    derivation.leave(run, files.run, files.tracking, metrics=files.metrics)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            provenance.RunName.of(snakemake.params.experiment, snakemake.wildcards),
        )
