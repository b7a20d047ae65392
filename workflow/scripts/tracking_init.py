"""Prepare the MLflow store, the experiment and its parent run."""

from pathlib import Path

from headstart import logs, outages, tracking


def main(folder: Path, experiment: str, output: Path) -> None:
    tracking.write(output, {"uri": tracking.uri(folder)})
    with outages.spared(output):
        tracking.write(output, tracking.prepare(folder, experiment))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.params.folder),
            snakemake.params.experiment,
            Path(snakemake.output.tracking),
        )
