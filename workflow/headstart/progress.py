"""How far a study is, and how long it will go on, told whenever a training has ended."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from snakemake_interface_logger_plugins.common import LogEvent

from headstart.verdict.phrases import duration

_TOLD = ("train_", "try_")


class StudyProgress(logging.Handler):
    """Listens to Snakemake's log, and estimates the time left from the jobs that have ended.

    A job that is to come takes as long as those of its rule took on average, and as many run side
    by side as did so far. Other rules than trainings count nothing until one of them has ended.
    """

    def __init__(
        self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`tell` gets each line; `clock` gives seconds."""
        super().__init__()
        self._tell, self._clock = tell, clock
        self._begun = clock()
        self._totals: Counter[str] = Counter()
        self._rules: dict[int, str] = {}
        self._started: dict[int, float] = {}
        self._took: dict[str, list[float]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._totals = Counter(record.__dict__["stats"])
            del self._totals["total"]
        elif event == LogEvent.JOB_INFO:
            job = record.__dict__["jobid"]  # JOB_STARTED would name a group, and not its jobs
            self._rules[job], self._started[job] = record.__dict__["rule_name"], self._clock()
        elif event == LogEvent.JOB_FINISHED:
            self._ended(record.__dict__["job_id"])

    def _ended(self, job: int) -> None:
        rule = self._rules[job]
        self._took[rule].append(self._clock() - self._started.pop(job))
        done, total = self._trainings(Counter({r: len(t) for r, t in self._took.items()}))
        if rule.startswith(_TOLD) and total > done:
            self._tell(f"{done} of {total} trainings done{self._left()}")

    def _left(self) -> str:
        """The time left, once a training of every kind to come has ended."""
        if any(rule.startswith(_TOLD) and rule not in self._took for rule in self._totals):
            return ""
        minutes = round(self._seconds_left() / 60)
        left = f"about {duration(60 * minutes)}" if minutes else "less than a minute"
        return f", {left} left"

    def _trainings(self, done: Counter[str]) -> tuple[int, int]:
        told = [rule for rule in self._totals if rule.startswith(_TOLD)]
        return sum(done[rule] for rule in told), sum(self._totals[rule] for rule in told)

    def _seconds_left(self) -> float:
        now = self._clock()
        spent = sum(map(sum, self._took.values())) + sum(now - at for at in self._started.values())
        means = {rule: sum(took) / len(took) for rule, took in self._took.items()}
        to_come = sum(
            mean * (self._totals[rule] - len(self._took[rule])) for rule, mean in means.items()
        )
        running = sum(
            min(now - at, means.get(self._rules[job], 0.0)) for job, at in self._started.items()
        )
        side_by_side = max(1.0, spent / (now - self._begun))
        return (to_come - running) / side_by_side
