"""The SQLite file behind MLflow: made once, and followed where its folder goes."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from headstart import HeadstartError

logger = logging.getLogger(__name__)

_SCHEME = "sqlite:///"
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
    return f"{_SCHEME}{folder / 'mlflow.db'}"


def lock(folder: Path) -> FileLock:
    """The lock of what only one process at a time may do to the store in `folder`."""
    return FileLock(folder / ".lock")


def make(uri: str) -> None:
    """Make the tables, unless they are there; several may then read while one writes."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    path = Path(uri.removeprefix(_SCHEME))
    if not path.exists():
        _initialize_tables(create_sqlalchemy_engine(uri))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=wal")


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
    path = Path(uri.removeprefix(_SCHEME))
    if not uri.startswith(_SCHEME) or not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            _follow(connection, path.resolve().parent)
    except sqlite3.DatabaseError as error:
        raise HeadstartError(
            f"the MLflow store {path} cannot be used: {error}; if it is damaged, move it away and "
            "rerun with --forcerun tracking_init"
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
