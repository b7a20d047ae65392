"""Train one run: a head on cached features where the rule has them, else a model on images."""

from pathlib import Path
from typing import Any

from headstart import logs
from headstart.compute import leases
from headstart.experiment import config
from headstart.training import inputs, runs


def main(
    gpus: list[str],
    log_file: str,
    name: runs.RunName,
    settings: dict[str, Any],
    files: inputs.TrainingFiles,
    outputs: runs.RunFiles,
    threads: int,
) -> None:
    strategy = config.parse(config.Strategy, settings)
    runs.train_on(gpus, log_file, name, strategy, files, outputs, threads)


def given(path: str | None) -> Path | None:
    return Path(path) if path else None


if "snakemake" in globals():
    files = snakemake.input
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)) as gpus:
        main(
            gpus,
            snakemake.log[0],
            runs.RunName(
                snakemake.params.experiment,
                snakemake.wildcards.strategy,
                float(snakemake.wildcards.fraction),
                int(snakemake.wildcards.seed),
            ),
            {"augmentation": []} | snakemake.params.settings,
            inputs.TrainingFiles(
                backbone=Path(files.backbone),
                weights=Path(files.weights),
                train_val=Path(files.train_val),
                classes=Path(files.classes),
                images=Path(files.images),
                index=Path(files.index),
                tracking=Path(files.tracking),
                features=given(files.get("features")),
                features_meta=given(files.get("features_meta")),
            ),
            runs.RunFiles(
                model=Path(snakemake.output.model),
                history=Path(snakemake.output.history),
                run=Path(snakemake.output.run),
                resume=Path(snakemake.params.resume),
            ),
            snakemake.threads,
        )
