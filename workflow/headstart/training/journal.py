"""What a training leaves as it goes: the resume file and, of a tracked run, MLflow's epochs."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import HeadstartError
from headstart.compute import parallel
from headstart.tracking import entries, outages, store
from headstart.training.checkpoints import Progress, ResumeFile

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from headstart.tracking.runlog import RunLog

logger = logging.getLogger(__name__)

_PAUSE = 10.0  # between two calls of MLflow, as a multiple of the time that one took


class Journal:
    """The resume file of a training.

    It is written after the first and the last epoch, and between them after every epoch, or,
    where epochs are short, after so many that writing takes little of the time. Where several
    processes train together all read it, and only the first writes.
    """

    def __init__(self, resume: ResumeFile) -> None:
        self._resume = resume

    def open(self) -> Progress:
        """The progress to go on from."""
        progress = self._resume.load()
        parallel.meet()  # the first process may write over the file or remove it from here on
        parallel.first_only(self._begin)(progress)
        return progress

    def due(self) -> bool:
        """Whether saving now leaves it a small share of the time."""
        return parallel.rank() == 0 and self._resume.due()

    def save(self, progress: Progress) -> None:
        parallel.first_only(self._save)(progress)

    def close(self) -> None:
        """Forget the resume state: the run's own files are written."""
        self._resume.remove()

    def _begin(self, progress: Progress) -> None:
        """Called once before the first step."""

    def _save(self, progress: Progress) -> None:
        self._resume.save(progress)


class TrackedJournal(Journal):
    """A journal that also tells MLflow, in the run that an interrupted training began.

    Training does not depend on it: a store that takes nothing is told of once, and asked again
    with later epochs so seldom that it costs little of the time.
    """

    def __init__(
        self,
        resume: ResumeFile,
        tracking: Path,
        reopen: "Callable[[str], RunLog]",
        start: "Callable[[], RunLog]",
    ) -> None:
        """`reopen` continues the MLflow run of an id, `start` makes a new one."""
        super().__init__(resume)
        self._tracking, self._reopen, self._start = tracking, reopen, start
        self._log: RunLog | None = None
        self._due = 0.0

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Let the MLflow run say, if one began, that the block failed or was killed."""
        try:
            yield
        except BaseException as error:
            with outages.spared(self._tracking):
                if self._log:
                    self._log.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise

    def finish(self, run: Path, history: Path, model: "nn.Module", example: "np.ndarray") -> None:
        """Log what the training left, as far as MLflow has its run, and end that.

        Args:
            run: the run.json.
            history: the history.csv.
            example: of `RunLog.model`.
        """
        with outages.spared(self._tracking):
            if self._log:
                self._log.model(model, example)
                entries.trained(self._log, run, history)
                self._log.end()

    def _begin(self, progress: Progress) -> None:
        with outages.spared(self._tracking):
            self._log = self._resumed(progress.mlflow_run_id) or self._start()
            progress.mlflow_run_id = self._log.run_id
        progress.mlflow_run_id = progress.mlflow_run_id or outages.made_up_id()

    def _resumed(self, run_id: str | None) -> "RunLog | None":
        if run_id:
            try:
                return self._reopen(run_id)
            except store.Silent:
                raise
            except HeadstartError as error:
                logger.warning("%s; logging all epochs to a new run", error)
        return None

    def _save(self, progress: Progress) -> None:
        super()._save(progress)
        began = time.monotonic()
        if self._log is None or began < self._due:
            return
        with outages.spared(self._tracking):
            self._log.epochs(progress.history)
        now = time.monotonic()
        self._due = now + _PAUSE * (now - began)
