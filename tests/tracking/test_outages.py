"""Stores that take nothing: work goes on after one line; what can never work is refused before."""

import sqlite3
import time
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest
import small_results
from small_servers import FAULTS, misbehaving

from headstart import HeadstartError, cli
from headstart.tracking import checks, connection, database, outages, store
from headstart.tracking.runlog import RunLog
from headstart.training.checkpoints import ResumeFile
from headstart.training.journal import TrackedJournal


@pytest.fixture
def known(tmp_path) -> Path:
    """Where a job reads which store there is."""
    path = tmp_path / "results/cells/tracking.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """The content of a store."""
    folder = tmp_path_factory.mktemp("store")
    database.make(database.uri(folder))
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "mlflow.db").read_bytes()


def journal(known: Path) -> TrackedJournal:
    """A training's journal as its job makes it."""
    return TrackedJournal(
        ResumeFile(known.parent / "resume.pt", "key"),
        known,
        lambda run_id: RunLog.open(connection.reach(known), run_id),
        lambda: RunLog.start(connection.reach(known), "full/seed-0", {}, {}),
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_goes_on_whatever_the_server_answers(known, fault, caplog):
    with misbehaving(fault) as address:
        connection.write(known, {"uri": address})
        began = time.monotonic()
        training = journal(known)
        with training.ending():
            progress = training.open()
            for epoch in range(1, 6):
                progress.epoch = epoch
                training.save(progress)
            training.finish(known, known, None, None)
        assert time.monotonic() - began < 8
    (line,) = caplog.messages
    assert f"{address} {FAULTS[fault]}" in line and "headstart index" in line
    assert len(line) < 200 and "\n" not in line
    assert outages.mark(known).exists() and len(progress.mlflow_run_id) == 32


def test_a_store_that_fails_in_the_middle_of_a_job_is_told_once(known, caplog, sound):
    folder = known.parents[1] / "mlflow"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(sound)
    connection.write(known, {"uri": database.uri(folder)})
    training = journal(known)
    progress = training.open()
    assert connection.read(known)["parent_run_id"], "completed by the first job that reaches it"
    for path in folder.glob("mlflow.db*"):
        path.write_bytes(b"junk" * 10_000)
    for epoch in (1, 2):
        training._due = 0.0
        progress.epoch, progress.history = epoch, [{"epoch": epoch, "val_loss": 0.5}]
        training.save(progress)
    assert len(caplog.messages) == 1 and "headstart index" in caplog.text
    assert training._resume.load().epoch == 2 and outages.mark(known).exists()


def test_index_of_a_server_that_never_answers_is_one_line_and_soon(tmp_path, monkeypatch, capsys):
    small_results.write(tmp_path / "results/cells")
    monkeypatch.chdir(tmp_path)
    with misbehaving("hangs") as address:
        began = time.monotonic()
        assert cli.main(["index", "--store", address]) == 1
        assert time.monotonic() - began < 8
    error = capsys.readouterr().err
    assert error.startswith(f"error: the MLflow server {address} does not answer")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("htp://host:5000", "'htp://host:5000' names no MLflow store: give http://HOST:PORT"),
        ("host:5000", "names no MLflow store"),
        ("./mlruns", "names no MLflow store"),
        ("file:///tmp/mlruns", "names no MLflow store"),
        ("postgres://host/db", "names no MLflow store"),
        ("sqlite://x.db", "names no MLflow store"),
        ("sqlite:///:memory:", "names no MLflow store"),
        ("sqlite:////dev/null/x.db", "cannot be made or written: see /dev/null"),
        ("http:/host:5000", "names no MLflow server: write http://HOST:PORT"),
        ("http://host:99999", "names no MLflow server"),
        ("postgresql://me:secret@host/db", "postgresql://host/db needs the Python module psycopg2"),
        ("mysql+nothing://host/db", "names no MLflow store"),
    ],
)
def test_an_address_of_no_use_is_one_line(uri, part):
    if uri.startswith("postgresql") and installed("psycopg2"):
        pytest.skip("the driver is installed")
    with pytest.raises(HeadstartError) as told:
        checks.require_usable(uri)
    assert (
        part in str(told.value) and "\n" not in str(told.value) and "secret" not in str(told.value)
    )


def installed(module: str) -> bool:
    return any(module in (name.metadata["Name"] or "") for name in metadata.distributions())


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/mlflow", "databricks"])
def test_an_address_that_may_be_right_is_left_to_be_tried(uri):
    checks.require_usable(uri)


def test_a_database_that_is_down_is_told_at_once():
    with pytest.raises(store.Silent, match=r"127.0.0.1:9/db does not answer \(Connection refused"):
        store.require_answer("postgresql://me:secret@127.0.0.1:9/db")


DAMAGE = {
    "junk": "cannot be used: file is not a database",
    "truncated": "cannot be used: database disk image is malformed",
    "newer": "was made by a newer MLflow than",
    "older": "mlflow db upgrade sqlite:///",
}


def damage(path: Path, kind: str, sound: bytes) -> None:
    path.parent.mkdir(parents=True)
    if kind == "junk":
        path.write_bytes(b"no database at all, but long enough to be read as one")
        return
    path.write_bytes(sound[: len(sound) // 2] if kind == "truncated" else sound)
    if kind != "truncated":
        version = {"newer": "ffff00000000", "older": "451aebb31d03"}[kind]
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_store_that_cannot_be_read_is_one_line_everywhere(
    tmp_path, monkeypatch, capsys, sound, kind
):
    small_results.write(tmp_path / "results/cells")
    damage(tmp_path / "results/mlflow/mlflow.db", kind, sound)
    monkeypatch.chdir(tmp_path)
    for command in ("index", "ui"):
        assert cli.main([command]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: the MLflow store results/mlflow/mlflow.db ")
        assert DAMAGE[kind] in error
    with pytest.raises(HeadstartError, match=DAMAGE[kind]):
        connection.prepare(Path("results/mlflow"), "cells")
