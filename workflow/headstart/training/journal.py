"""What a training leaves as it goes: the resume file and, of a tracked run, MLflow's epochs."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from headstart import HeadstartError
from headstart.compute import parallel
from headstart.training.checkpoints import Progress, ResumeFile

if TYPE_CHECKING:
    from headstart.tracking import RunLog

logger = logging.getLogger(__name__)


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
    """A journal that also tells MLflow, in the run that an interrupted training began."""

    def __init__(
        self,
        resume: ResumeFile,
        reopen: "Callable[[str], RunLog]",
        start: "Callable[[], RunLog]",
    ) -> None:
        """`reopen` continues the MLflow run of an id, `start` makes a new one."""
        super().__init__(resume)
        self._reopen, self._start = reopen, start
        self._log: RunLog | None = None
        self._ending = contextlib.ExitStack()

    @property
    def log(self) -> "RunLog":
        """The MLflow run; there is one from `open` on."""
        assert self._log is not None
        return self._log

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """End the MLflow run, if one began, as the block ends: finished, failed or killed."""
        with self._ending:
            yield

    def _begin(self, progress: Progress) -> None:
        self._log = self._resumed(progress.mlflow_run_id) or self._start()
        self._ending.enter_context(self._log.ending())
        progress.mlflow_run_id = self._log.run_id

    def _resumed(self, run_id: str | None) -> "RunLog | None":
        if run_id:
            try:
                return self._reopen(run_id)
            except HeadstartError as error:
                logger.warning("%s; logging all epochs to a new run", error)
        return None

    def _save(self, progress: Progress) -> None:
        from mlflow.exceptions import MlflowException

        super()._save(progress)
        try:
            self.log.epochs(progress.history)
        except MlflowException as error:
            first = str(error).splitlines()[0][:200]
            logger.warning("MLflow takes no epochs, which go there with the next: %s", first)
