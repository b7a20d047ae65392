"""What a study says of its progress, from the events of Snakemake's log."""

import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from headstart.progress import StudyProgress


class Study:
    """A logger as Snakemake's, and a clock that stands where it is put."""

    def __init__(self, **jobs: int) -> None:
        self.now, self.told = 0.0, []
        self.logger = logging.Logger("study")
        self.logger.addHandler(StudyProgress(self.told.append, lambda: self.now))
        self.say(LogEvent.RUN_INFO, stats=jobs | {"total": sum(jobs.values())})

    def say(self, event: LogEvent, **fields) -> None:
        self.logger.info("", extra={"event": event} | fields)

    def start(self, rule: str, *jobs: int) -> None:
        for job in jobs:
            self.say(LogEvent.JOB_INFO, jobid=job, rule_name=rule)
        self.say(LogEvent.JOB_STARTED, jobs=list(jobs))

    def end(self, *jobs: int) -> None:
        for job in jobs:
            self.say(LogEvent.JOB_FINISHED, job_id=job)


def test_the_time_left_is_that_of_the_trainings_to_come():
    study = Study(train_from_images=3, train_from_features=1, report=1)
    study.start("train_from_features", 1)
    study.now = 5
    study.end(1)
    study.start("train_from_images", 2)
    study.now = 65
    study.end(2)
    assert study.told == [
        "1 of 4 trainings done",  # how long one from images takes is not known yet
        "2 of 4 trainings done, about 2 min 00 s left",
    ]


def test_jobs_side_by_side_and_half_done_shorten_it():
    study = Study(train_from_images=4)
    study.start("train_from_images", 1, 2)
    study.now = 240
    study.end(1)
    # three of 240 s, of which one has run all its time, two at a time
    assert study.told == ["1 of 4 trainings done, about 4 min 00 s left"]


def test_other_rules_count_and_are_not_told():
    study = Study(evaluate=2, try_from_features=2)
    study.start("try_from_features", 1)
    study.now = 10
    study.end(1)
    study.start("evaluate", 2)
    study.now = 30
    study.end(2)
    assert len(study.told) == 1
    study.start("try_from_features", 3)
    study.now = 40
    study.end(3)
    assert len(study.told) == 1, "the last training needs no estimate"


def test_jobs_of_a_group_count_each():
    """Snakemake announces a group by an identifier of its own, and the end of each of its jobs."""
    study = Study(train_from_features=2, evaluate=2)
    for job, rule in enumerate(("train_from_features", "evaluate")):
        study.say(LogEvent.JOB_INFO, jobid=job, rule_name=rule)
    study.say(LogEvent.JOB_STARTED, jobs=["0f2c"])
    study.now = 60
    study.end(0, 1)
    assert [line.partition(",")[0] for line in study.told] == ["1 of 2 trainings done"]


@pytest.mark.parametrize("event", [None, LogEvent.SHELLCMD, LogEvent.ERROR])
def test_what_is_not_about_jobs_is_passed_over(event):
    study = Study(train_from_images=1)
    study.say(event)
    assert study.told == []
