"""The journal: saved often enough, and one MLflow run for a training, however often it dies."""

import time

import pytest
import torch
from mlflow.exceptions import MlflowException
from small_training import LP_FT, Interrupted, assert_same, fit, image_batches

from headstart import HeadstartError
from headstart.training import checkpoints
from headstart.training import journal as journals
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.journal import Journal, TrackedJournal


def test_short_epochs_are_not_all_saved(cache, cpu, make_strategy, tmp_path, monkeypatch):
    """The first and the last are, and a kill between loses no more than the epochs since."""
    monkeypatch.setattr(checkpoints, "PAUSE", 1e6)
    saved = []
    save = ResumeFile.save
    monkeypatch.setattr(ResumeFile, "save", lambda *a: (saved.append(a[1].epoch), save(*a)))
    batches, strategy = image_batches(cache, cpu), make_strategy(*LP_FT)
    whole = fit(batches, strategy, cpu, tmp_path / "whole.pt")
    assert saved == [1, 5]
    with pytest.raises(Interrupted):
        fit(batches, strategy, cpu, tmp_path / "cut.pt", stop_after=1)
    assert_same(whole, fit(batches, strategy, cpu, tmp_path / "cut.pt"))


class Log:
    """Stands for RunLog: remembers how many epochs the resume file had as it was told."""

    def __init__(self, run_id: str, resume: ResumeFile) -> None:
        self.run_id, self.resume = run_id, resume
        self.told: list[tuple[int, int]] = []

    def epochs(self, history: list[dict[str, float]]) -> None:
        self.told.append((len(history), self.resume.load().epoch))


@pytest.fixture
def resume(tmp_path) -> ResumeFile:
    return ResumeFile(tmp_path / "resume.pt", "key")


def tracked(resume: ResumeFile, lost: bool = False) -> TrackedJournal:
    """A journal of a store that has lost its runs, or has not."""

    def reopen(run_id: str) -> Log:
        if lost:
            raise HeadstartError(f"MLflow run {run_id} is gone")
        return Log(run_id, resume)

    tracking = resume.path.with_name("tracking.json")
    tracking.write_text('{"uri": "http://server:5000"}')
    return TrackedJournal(resume, tracking, reopen, lambda: Log("new", resume))


def test_a_training_starts_one_mlflow_run_and_goes_on_in_it(resume):
    journal = tracked(resume)
    progress = journal.open()
    assert progress == Progress(mlflow_run_id="new") and journal._log.run_id == "new"
    progress.epoch, progress.mlflow_run_id = 1, "the first"
    journal.save(progress)
    again = tracked(resume)
    assert again.open() == progress and again._log.run_id == "the first"


def test_a_lost_mlflow_run_is_replaced_for_good(resume, caplog):
    resume.save(Progress(epoch=1, mlflow_run_id="lost"))
    journal = tracked(resume, lost=True)
    progress = journal.open()
    assert (progress.epoch, progress.mlflow_run_id, journal._log.run_id) == (1, "new", "new")
    assert "MLflow run lost is gone; logging all epochs to a new run" in caplog.text
    journal.save(progress)
    assert resume.load().mlflow_run_id == "new"


def test_mlflow_is_told_of_what_is_already_saved(resume, monkeypatch):
    """Else a kill in between would leave epochs in MLflow that the next attempt trains anew."""
    monkeypatch.setattr(journals, "_PAUSE", 0)
    journal = tracked(resume)
    progress = journal.open()
    for epoch in (1, 2):
        progress.epoch = epoch
        progress.history.append({"epoch": epoch})
        journal.save(progress)
    assert journal._log.told == [(1, 1), (2, 2)]


def test_a_training_goes_on_while_its_server_is_down(resume, monkeypatch, caplog):
    """The epochs are in the resume file, and go to MLflow with the next that it takes."""
    monkeypatch.setattr(journals, "_PAUSE", 0)
    journal = tracked(resume)
    progress = journal.open()
    progress.epoch, progress.history = 1, [{"epoch": 1}]

    def refuse(*_: object) -> None:
        raise MlflowException("connection refused")

    with monkeypatch.context() as down:
        down.setattr(journal._log, "epochs", refuse)
        journal.save(progress)
    assert (
        "http://server:5000 takes no more (connection refused)" in caplog.text
        and resume.load().epoch == 1
    )
    progress.epoch, progress.history = 2, [{"epoch": 1}, {"epoch": 2}]
    journal.save(progress)
    assert journal._log.told == [(2, 2)]


def test_a_store_that_is_slow_is_told_seldom(resume, monkeypatch):
    journal = tracked(resume)
    progress = journal.open()
    monkeypatch.setattr(journal._log, "epochs", lambda _: (told.append(1), time.sleep(0.05)))
    told: list[int] = []
    began = time.monotonic()
    while time.monotonic() < began + 1:
        progress.epoch += 1
        journal.save(progress)
    assert progress.epoch > len(told) and len(told) <= 3


def test_a_closed_journal_leaves_no_file(resume):
    journal = Journal(resume)
    journal.save(Progress(epoch=1, best_model={"w": torch.ones(2)}))
    assert resume.path.exists()
    journal.close()
    assert list(resume.path.parent.iterdir()) == []
    assert journal.open() == Progress()
