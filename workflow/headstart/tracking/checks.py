"""Whether an MLflow store can be used at all, known without asking a server and without MLflow."""

import os
import re
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from urllib.parse import urlsplit

from headstart import HeadstartError
from headstart.tracking.database import ADVICE, SQLITE, opened
from headstart.tracking.store import shown

_DATABASES = ("postgresql", "mysql", "mssql")
_KNOWN = f"http://HOST:PORT, sqlite:///FILE or a database ({', '.join(_DATABASES)})"
_VERSION = "SELECT version_num FROM alembic_version"
_TABLES = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"


def require_usable(uri: str) -> None:
    """Refuse an address that MLflow has no use for, and a file that it cannot open.

    Raises:
        HeadstartError: one line; a server that is down is none of these mistakes.
    """
    kind = uri.partition(":")[0].partition("+")[0]
    if uri.startswith(SQLITE) and uri != f"{SQLITE}:memory:":
        _require_file(Path(uri.removeprefix(SQLITE)))
    elif kind in _DATABASES and "://" in uri:
        _require_driver(uri)
    elif kind in ("http", "https"):
        _require_host(uri)
    elif kind not in {"databricks", *_plugins()}:
        raise HeadstartError(
            f"{shown(uri)!r} names no MLflow store: give {_KNOWN} in MLFLOW_TRACKING_URI, or unset "
            "it for a store under results/"
        )


def _plugins() -> set[str]:
    return {point.name for point in metadata.entry_points(group="mlflow.tracking_store")}


def _require_host(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        whole = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise HeadstartError(
            f"{shown(uri)!r} names no MLflow server: write http://HOST:PORT in MLFLOW_TRACKING_URI"
        )


def _require_driver(uri: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ImportError as error:
        raise HeadstartError(
            f"the MLflow store {shown(uri)} needs the Python module {error.name}, which is not "
            "installed: install it with pip, or start an `mlflow server` there and give its address"
        ) from None
    except (SQLAlchemyError, ValueError) as error:
        raise HeadstartError(f"{shown(uri)!r} names no MLflow store: {error}") from None


def _require_file(path: Path) -> None:
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    right = there.is_file() if path.exists() else there.is_dir()
    if not right or not os.access(there, os.W_OK):
        raise HeadstartError(f"the MLflow store {path} cannot be made or written: see {there}")
    if not path.is_file():
        return
    with opened(path) as connection:
        filled = connection.execute(_TABLES).fetchone()
        found = connection.execute(_VERSION).fetchone() if filled else None
    if found is None:
        return
    (version,) = found
    revisions = dict(_revisions())
    if version not in revisions:
        raise HeadstartError(
            f"the MLflow store {path} was made by a newer MLflow than "
            f"{metadata.version('mlflow')}: use that one, or move the file away and {ADVICE}"
        )
    if version in revisions.values():
        raise HeadstartError(
            f"the MLflow store {path} was made by an older MLflow: copy it, and run "
            f"`mlflow db upgrade {SQLITE}{path}`"
        )


def _revisions() -> Iterator[tuple[str, str | None]]:
    """The versions of the tables that the installed MLflow knows, each with the one before it."""
    spec = util.find_spec("mlflow")
    assert spec is not None and spec.origin is not None
    for file in Path(spec.origin).parent.glob("store/db_migrations/versions/[0-9a-f]*.py"):
        text = file.read_text(encoding="utf-8")
        found = dict(
            re.findall(r'^(revision|down_revision)\b[^=\n]*= ["\'](\w+)', text, re.MULTILINE)
        )
        yield found["revision"], found.get("down_revision")
