"""Train one run: a head on cached features where the rule has them, else a model on images."""

import json
import os
from pathlib import Path

from headstart import logs, paths
from headstart.compute import leases
from headstart.experiment import config
from headstart.provenance import RunName
from headstart.training import jobs


def main(job: jobs.Job, gpus: list[str], threads: int, log_file: str) -> None:
    from headstart.training import runs

    runs.train_on(gpus, job, threads, log_file)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)) as gpus:
        files = paths.named(jobs.TrainingFiles, snakemake.input)
        settings = {"augmentation": []} | snakemake.params.settings
        if files.choice:
            settings |= json.loads(files.choice.read_text())["strategy"]
        if scratch := snakemake.resources.get("scratch"):
            files = files.near(Path(os.path.expandvars(scratch)))
        written = jobs.TrialFiles if snakemake.output.get("trial") else jobs.RunFiles
        name = RunName.of(snakemake.params.experiment, snakemake.wildcards)
        job = jobs.Job(
            name,
            config.parse(config.Strategy, settings),
            files,
            paths.named(written, snakemake.output, snakemake.params),
        )
        main(job, gpus, snakemake.threads, snakemake.log[0])
