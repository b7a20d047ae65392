"""The SQLite file that MLflow keeps runs in: made once, shared, followed where its folder goes."""

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from headstart import HeadstartError

logger = logging.getLogger(__name__)

#: What to do where the store lacks something that results/ has.
ADVICE = "make it again from the results: headstart index"

#: What the address of a store in a file begins with.
SQLITE = "sqlite:///"

_JOURNAL = "HEADSTART_SQLITE_JOURNAL"  # jobs inherit it
_ARTIFACTS = "artifacts"
# Where MLflow keeps absolute locations; not every version has all of these columns.
_LOCATIONS = {
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
}
_MOVE = "UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
_COLUMNS = "SELECT tables.name, c.name FROM sqlite_master tables, pragma_table_info(tables.name) c"


def uri(folder: Path) -> str:
    """The MLflow address of the store in `folder`."""
    return f"{SQLITE}{folder / 'mlflow.db'}"


def lock(folder: Path, uri: str = "") -> FileLock:
    """The lock of what only one process at a time may do to the store in `folder`.

    Args:
        uri: of a store in another file, which other projects may use too.
    """
    if uri.startswith(SQLITE):
        folder = Path(uri.removeprefix(SQLITE)).parent
        folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def make(uri: str) -> None:
    """Make the tables, unless they are there; one host's jobs may then read while one writes.

    The Default experiment is made here, since by itself MLflow would put the path of the working
    folder into SQL as it is, quotation marks included.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path = Path(uri.removeprefix(SQLITE))
    if not path.exists():
        SqlAlchemyStore(uri, (path.absolute().parent / "mlruns").as_uri())
    _set_journal(path, os.environ.get(_JOURNAL, "wal"))


def _set_journal(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")


def share(uri: str) -> None:
    """Ready the store for jobs on several hosts, of which SQLite then lets one at a time in.

    Its write-ahead log would need memory that all of them share. A server needs nothing.

    Raises:
        HeadstartError: the file system does not lock files.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (path.parent / ".locks").open("w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
    except OSError as error:
        raise HeadstartError(
            f"jobs on several hosts cannot share {path}, whose file system locks no files "
            f"({error.strerror}): start `mlflow server --host 0.0.0.0 --backend-store-uri "
            f"sqlite:////var/tmp/mlflow.db --artifacts-destination {path.parent}/artifacts` where "
            "the nodes reach it, and give its address as MLFLOW_TRACKING_URI=http://HOST:5000"
        ) from None
    os.environ[_JOURNAL] = "delete"
    if path.exists():
        _set_journal(path, "delete")


def make_artifacts(folder: Path, experiment: str) -> str:
    """Make the folder of an experiment's artifacts beside the store, and return its address."""
    artifacts = folder.resolve() / _ARTIFACTS / experiment
    artifacts.mkdir(parents=True, exist_ok=True)
    return artifacts.as_uri()


def follow(uri: str) -> None:
    """Point a store whose folder was moved or copied to the artifacts that lie beside it.

    MLflow keeps absolute locations, and would go on writing to the old folder. One query sees
    that there is nothing to do; a store without artifacts beside it is left as it is.

    Raises:
        HeadstartError: the file is damaged, or may not be written.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or not path.is_file():
        return
    with opened(path) as connection:
        _follow(connection, path.resolve().parent)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the store's file.

    Raises:
        HeadstartError: the file is damaged, or may not be written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise HeadstartError(
            f"the MLflow store {path} cannot be used: {error}; if it is damaged, move it away and "
            f"{ADVICE}"
        ) from None


def _follow(connection: sqlite3.Connection, folder: Path) -> None:
    if not _left(connection, folder):
        return
    with lock(folder):
        for old in _left(connection, folder):
            logger.warning("the MLflow store of %s is now in %s: artifacts go there", old, folder)
            with connection:
                _rewrite(connection, old, folder.as_uri())


def _left(connection: sqlite3.Connection, folder: Path) -> set[str]:
    """The addresses of folders that the store left together with the artifacts in them."""
    there = "SELECT name FROM sqlite_master WHERE name = 'experiments'"
    if connection.execute(there).fetchone() is None:
        return set()  # made, but never filled
    rows = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    found = [(location or "").rpartition(f"/{_ARTIFACTS}/") for (location,) in rows]
    return {
        old
        for old, _, experiment in found
        if old.startswith("file:")
        and old != folder.as_uri()
        and (folder / _ARTIFACTS / experiment).is_dir()
    }


def _rewrite(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Replace the address `old` at the beginning of every location."""
    for table, column in _LOCATIONS.intersection(connection.execute(_COLUMNS)):
        connection.execute(
            _MOVE.format(table=table, column=column),
            (new, len(old) + 1, len(old) + 1, f"{old}/"),
        )
