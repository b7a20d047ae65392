"""Prepare the MLflow store, the experiment and its parent run."""

from pathlib import Path

from headstart import logs
from headstart.tracking import connection, outages


def main(folder: Path, experiment: str, output: Path) -> None:
    connection.write(output, {"uri": connection.uri(folder)})
    with outages.spared(output):
        connection.write(output, connection.prepare(folder, experiment))


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            Path(snakemake.params.folder),
            snakemake.params.experiment,
            Path(snakemake.output.tracking),
        )
