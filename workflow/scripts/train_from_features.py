"""Train a head on cached features of the frozen backbone."""

from pathlib import Path
from typing import Any

from headstart import config, devices, logs, runs


def main(
    name: runs.RunName,
    settings: dict[str, Any],
    files: runs.TrainingFiles,
    outputs: runs.RunFiles,
    threads: int,
) -> None:
    runs.train(name, config.parse(config.Strategy, settings), files, outputs, threads)


if "snakemake" in globals():
    inputs = snakemake.input
    with logs.job(snakemake.log[0]), devices.lease(snakemake.resources.get("gpu", 0)):
        main(
            runs.RunName(
                snakemake.params.experiment,
                snakemake.wildcards.strategy,
                float(snakemake.wildcards.fraction),
                int(snakemake.wildcards.seed),
            ),
            snakemake.params.settings | {"augmentation": []},
            runs.TrainingFiles(
                backbone=Path(inputs.backbone),
                weights=Path(inputs.weights),
                train_val=Path(inputs.train_val),
                classes=Path(inputs.classes),
                images=Path(inputs.images),
                index=Path(inputs.index),
                tracking=Path(inputs.tracking),
                features=Path(snakemake.input.features),
                features_meta=Path(snakemake.input.features_meta),
            ),
            runs.RunFiles(
                model=Path(snakemake.output.model),
                history=Path(snakemake.output.history),
                run=Path(snakemake.output.run),
                resume=Path(snakemake.params.resume),
            ),
            snakemake.threads,
        )
