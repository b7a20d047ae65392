"""Prepare the MLflow store, the experiment and its parent run."""

import json
from pathlib import Path

from headstart import logs, tracking


def main(folder: Path, experiment: str, output: Path) -> None:
    output.write_text(json.dumps(tracking.prepare(folder, experiment), indent=2) + "\n")


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.params.folder),
            snakemake.params.experiment,
            Path(snakemake.output.tracking),
        )
