"""The store behind MLflow, whatever its kind: reached, asked for an answer, restored."""

import contextlib
import functools
import logging
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headstart import HeadstartError
from headstart.tracking import database

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# With MLflow's own 120 seconds and 7 retries a dead server would be waited for in silence.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

logger = logging.getLogger(__name__)

_ANSWER = 5  # seconds in which a server has to
_SEARCH = "/api/2.0/mlflow/experiments/search"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class Silent(HeadstartError):
    """The store's server does not answer, or not as MLflow does."""


def client(uri: str) -> "MlflowClient":
    """MLflow's client of a store that is there.

    Raises:
        HeadstartError: the file is gone or damaged, or, as Silent, the server does not answer.
    """
    database.follow(uri)
    path = Path(uri.removeprefix(database.SQLITE))
    if uri.startswith(database.SQLITE) and not path.is_file():
        raise HeadstartError(f"the MLflow store {path} is gone; {database.ADVICE}")
    require_answer(uri)
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient()


def shown(uri: str) -> str:
    """An address without the password that it may hold."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)


def reason(error: BaseException) -> str:
    """Why a store did not take a call, in a few words out of what MLflow says of it."""
    text = str(error)
    if found := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)|(Remote end closed connection)", text):
        return found[1] or found[2]
    if found := re.search(r"error code (\d+)|too many (\d+) error responses", text):
        return f"status {found[1] or found[2]}"
    if re.search("timed out|timeout", text):
        return "no answer in time"
    return next(iter(text.splitlines()), type(error).__name__)[:200]


@functools.cache  # of an answer only: it is asked for once in a process
def require_answer(uri: str) -> None:
    """Ask a server for a sign that it is MLflow's, or a database's host for a connection.

    Raises:
        Silent: there is none within seconds.
    """
    if fault := _fault(uri) if uri.startswith("http") else _closed(uri):
        raise Silent(
            f"the MLflow server {shown(uri)} {fault}; see to it, or unset MLFLOW_TRACKING_URI for "
            "a store under results/"
        )


def _fault(uri: str) -> str | None:
    """What is wrong with a server's answer."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    once = {"max_retries": 0, "timeout": _ANSWER, "raise_on_status": False}
    credentials = get_default_host_creds(uri)
    try:
        answer = http_request(credentials, _SEARCH, "POST", json={"max_results": 1}, **once)
    except MlflowException as error:
        return f"does not answer ({reason(error)})"
    if answer.status_code in (401, 403):
        return f"lets nobody in (status {answer.status_code}) without its name and password"
    if answer.status_code != 200:
        return f"answers with status {answer.status_code}"
    is_json = answer.text.lstrip().startswith("{")
    return None if is_json else "does not answer as MLflow does"


def _closed(uri: str) -> str | None:
    """Why a database's host takes no connection, which MLflow would try for minutes."""
    parts = urlsplit(uri)
    default = _PORTS.get(parts.scheme.partition("+")[0])
    if parts.hostname and default:
        try:
            socket.create_connection((parts.hostname, parts.port or default), _ANSWER).close()
        except OSError as error:
            return f"does not answer ({reason(error)})"
    return None


def is_deleted(entity: Any) -> bool:
    """Whether a run's info or an experiment was deleted in the MLflow UI."""
    return bool(entity.lifecycle_stage == "deleted")


def restore_experiment(client: "MlflowClient", experiment_id: str) -> None:
    """Undo a deletion in the MLflow UI, that of the experiment's runs included."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment(experiment_id)
    if not is_deleted(experiment):
        return
    with contextlib.suppress(MlflowException):  # where another job has just restored it
        client.restore_experiment(experiment_id)
    logger.warning("MLflow experiment %s had been deleted and is restored", experiment.name)


def restore_run(client: "MlflowClient", run_id: str) -> None:
    """Undo a deletion of a run, or of its experiment, in the MLflow UI."""
    run = client.get_run(run_id)
    if is_deleted(run.info):
        restore_experiment(client, run.info.experiment_id)
        client.restore_run(run_id)
        logger.warning("MLflow run %s had been deleted and is restored", run.info.run_name)
