"""What a job does where MLflow takes nothing: it says so once, goes on, and leaves word of it."""

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from headstart import HeadstartError, one_line
from headstart.tracking import store

logger = logging.getLogger(__name__)
logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry would be a line more

_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # which `store` sets, unless a person has
_FILES = 60  # seconds

_told: set[Path] = set()


def mark(tracking: Path) -> Path:
    """The file that is there while MLflow lacks something of an experiment.

    Args:
        tracking: the experiment's tracking.json.
    """
    return tracking.with_name("not_in_mlflow")


@contextlib.contextmanager
def spared(tracking: Path) -> Iterator[None]:
    """Around calls of the store alone: where one fails, the rest of the block is left out.

    A process warns once of an experiment. Whatever a store, a server or a driver raises is such a
    failure: no result may depend on it.

    Args:
        tracking: the experiment's tracking.json.
    """
    try:
        yield
    except Exception as error:
        mark(tracking).touch()
        if tracking in _told:
            return
        _told.add(tracking)
        if isinstance(error, HeadstartError):
            text = str(error).partition(";")[0]
        else:
            place = store.shown(json.loads(tracking.read_text())["uri"])
            text = f"MLflow at {place} takes no more ({one_line(store.reason(error))})"
        logger.warning("%s: the work goes on, and `headstart index` completes the record", text)


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Around a transfer of files, which a server may have to hand on before it answers."""
    before = os.environ[_TIMEOUT]
    os.environ[_TIMEOUT] = str(max(int(before), _FILES))
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = before


def made_up_id() -> str:
    """The id in MLflow of a run that is not there yet, by which `headstart index` knows it."""
    return uuid.uuid4().hex
