"""Resolve the backbone once for all runs: its weights and its own preprocessing."""

from pathlib import Path
from typing import Any

from headstart import logs
from headstart.experiment import config
from headstart.models import backbones


def main(
    backbone: dict[str, Any], image: dict[str, Any], config_path: Path, weights_path: Path
) -> None:
    backbones.prepare(
        config.parse(config.Backbone, backbone),
        config.parse(config.Image, image),
        config_path,
        weights_path,
    )


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            snakemake.params.backbone,
            snakemake.params.image,
            Path(snakemake.output.config),
            Path(snakemake.output.weights),
        )
