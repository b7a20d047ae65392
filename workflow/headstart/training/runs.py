"""One run, from its input files to its output files: model, history, run.json, MLflow."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headstart import HeadstartError, provenance
from headstart.compute import devices, ownership, parallel
from headstart.tracking import connection
from headstart.tracking.runlog import RunLog
from headstart.training import inputs as reading
from headstart.training import loop, probes, record, trials
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.inputs import Inputs
from headstart.training.jobs import Job, RunFiles, TrialFiles
from headstart.training.journal import Journal, TrackedJournal

logger = logging.getLogger(__name__)


def train_on(gpus: Sequence[str], job: Job, threads: int, log_file: str | Path) -> None:
    """Train one run as `train` does, on the leased GPUs: on several, in a process for each.

    A process that an earlier start left at work on the same run is waited for.

    Args:
        threads: CPU threads of all processes together.
        log_file: receives the messages of those processes.
    """
    wanted, resume = job.strategy.training.gpus, job.outputs.resume
    if wanted > 1 and job.files.features is None:
        logger.info(
            "training.gpus is %d, leased are %d: training in one process", wanted, len(gpus)
        )
    with ownership.owner(resume.parent.with_name("locks") / f"{resume.stem}.lock") as waited:
        if len(gpus) > 1:
            share = max(1, threads // len(gpus))
            parallel.launch(len(gpus), log_file, train, job, share, waited)
        else:
            train(job, threads, waited)


def train(job: Job, threads: int, waited: bool = False) -> None:
    """Train one run and leave its files; an interrupted one goes on where it stopped.

    Where several processes train it together, all call this, and the first leaves the files.

    Args:
        waited: for a process that worked on the same run, and may have done it.

    Raises:
        HeadstartError: training diverged, or a file does not fit the others.
    """
    device = devices.open_device(job.strategy.training.precision, threads)
    inputs = reading.read(job, device)
    if isinstance(job.outputs, TrialFiles):
        _try(inputs, job.outputs)
        return
    if waited and record.is_done(inputs, job.outputs):
        logger.info("it is done")
        return
    journal = _journal(inputs, job.outputs)
    with journal.ending():
        progress = _fit(inputs, journal)
        if parallel.rank() > 0:
            return
        whole = reading.whole_model(inputs, progress)
        record.write(inputs, job.outputs, progress, whole)
        example = reading.input_example(inputs.cache, inputs.frame, inputs.backbone.image)
        journal.finish(job.outputs.run, job.outputs.history, whole, example)
    journal.close()


def _try(inputs: Inputs, outputs: TrialFiles) -> None:
    """Train as a run does, and leave what tuning needs to know of it."""
    resume = ResumeFile(outputs.resume, provenance.digest(inputs.made_by))
    journal = Journal(resume)
    progress = _fit(inputs, journal)
    if parallel.rank() == 0:
        trials.write(inputs, outputs.trial, progress)
        journal.close()


def _journal(inputs: Inputs, outputs: RunFiles) -> TrackedJournal:
    """The journal of a run; its resume state belongs to all that decides the run's result."""
    name, files, made_by = inputs.job.name, inputs.job.files, inputs.made_by

    def reopen(run_id: str) -> RunLog:
        return RunLog.open(connection.reach(files.tracking), run_id)

    def start() -> RunLog:
        settings = {key: made_by[key] for key in ("strategy", "backbone", "fraction", "seed")}
        known, tags = connection.reach(files.tracking), provenance.tags(name, made_by)
        log = RunLog.start(known, str(name), settings, tags)
        log.dataset(inputs.frame, name.experiment, str(files.train_val))
        return log

    resume = ResumeFile(outputs.resume, provenance.digest(made_by))
    return TrackedJournal(resume, files.tracking, reopen, start)


def _fit(inputs: Inputs, journal: Journal) -> Progress:
    strategy, seed = inputs.job.strategy, inputs.job.name.seed
    started = devices.seconds_spent(inputs.device)
    if strategy.is_probe:
        assert inputs.job.files.features is not None
        features = np.load(inputs.job.files.features, mmap_mode="r")
        progress = probes.fit(strategy, features, inputs.examples, seed, journal)
        progress.device_seconds = devices.seconds_spent(inputs.device) - started
        return progress
    task, batches = reading.prepare(inputs)
    prepared = devices.seconds_spent(inputs.device) - started
    try:
        progress = loop.fit(task, batches, strategy, seed, journal)
    except HeadstartError as error:
        raise HeadstartError(f"{inputs.job.name}: {error}") from None
    progress.device_seconds += prepared
    return progress
