"""Train one run: a head on cached features where the rule has them, else a model on images."""

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
        name = RunName(
            snakemake.params.experiment,
            snakemake.wildcards.strategy,
            float(snakemake.wildcards.fraction),
            int(snakemake.wildcards.split),
            int(snakemake.wildcards.seed),
        )
        job = jobs.Job(
            name,
            config.parse(config.Strategy, {"augmentation": []} | snakemake.params.settings),
            paths.named(jobs.TrainingFiles, snakemake.input),
            paths.named(jobs.RunFiles, snakemake.output, snakemake.params),
        )
        main(job, gpus, snakemake.threads, snakemake.log[0])
