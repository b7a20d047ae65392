"""The SQLite store where jobs run on several hosts."""

import errno
import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.tracking import database


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTART_SQLITE_JOURNAL", "wal")


def journal(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode)


def test_a_shared_store_gives_up_its_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    path.touch()
    database.make(database.uri(path.parent))
    assert journal(path) == "wal"
    database.share(database.uri(path.parent))
    assert journal(path) == "delete"
    database.make(database.uri(path.parent))
    assert journal(path) == "delete"


def test_a_file_system_without_locks_is_refused_with_the_command_for_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(HeadstartError, match=r"No locks available.*mlflow server --host") as told:
        database.share(database.uri(tmp_path))
    assert "MLFLOW_TRACKING_URI=" in str(told.value) and "\n" not in str(told.value)
    database.share("http://server:5000")
