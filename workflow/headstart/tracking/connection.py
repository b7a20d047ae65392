"""The connection of an experiment to its MLflow store, held for the jobs in tracking.json."""

import json
import os
from pathlib import Path

from headstart.tracking import checks, database, projects, store

# Without it the MLflow UI takes an experiment for one of its GenAI kind.
_KIND = ("mlflow.experimentKind", "custom_model_development")


def uri(folder: Path) -> str:
    """The SQLite store in `folder`, unless MLFLOW_TRACKING_URI names another."""
    return os.environ.get("MLFLOW_TRACKING_URI") or database.uri(folder)


def prepare(folder: Path, experiment: str, address: str = "") -> dict[str, str]:
    """Make the store, the experiment and the project's parent run in it, or find them.

    Several processes that open a database which is not there yet can break it, so this runs
    once before any job logs, under a lock. What was deleted in the MLflow UI is restored.

    Args:
        folder: holds the artifacts and, where nothing else is named, mlflow.db.
        address: of another store.

    Returns:
        uri, project, experiment_id and parent_run_id.

    Raises:
        HeadstartError: the store cannot be used, or, as store.Silent, does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = address or uri(folder)
    checks.require_usable(address)
    database.follow(address)
    store.require_answer(address)
    local = address.startswith(database.SQLITE)
    with database.lock(folder):
        project = projects.identity(folder.parent)
    with database.lock(folder, address):
        if local:
            database.make(address)
        client = store.client(address)
        location = database.make_artifacts(folder, experiment) if local else None
        experiment_id = projects.experiment(client, experiment, location)
        store.restore_experiment(client, experiment_id)
        client.set_experiment_tag(experiment_id, *_KIND)
        parent_run_id = projects.parent(client, experiment_id, experiment, project)
    found = {"experiment_id": experiment_id, "parent_run_id": parent_run_id}
    return {"uri": address, "project": project} | found


def current(tracking: dict[str, str], query: str) -> str:
    """A query for the project's runs alone that no later one replaced."""
    return (
        f"{query} and tags.`headstart.superseded` = 'false' and {projects.of(tracking['project'])}"
    )


def write(path: Path, tracking: dict[str, str]) -> None:
    """Leave what `prepare` returned for the jobs, if they do not know it yet."""
    if path.exists() and read(path) == tracking:
        return
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(tracking, indent=2) + "\n")
    partial.replace(path)


def read(path: Path) -> dict[str, str]:
    """The content of tracking.json."""
    tracking: dict[str, str] = json.loads(path.read_text())
    return tracking


def reach(path: Path) -> dict[str, str]:
    """The content of tracking.json, completed where the server was away as the study began.

    Args:
        path: results/<experiment>/tracking.json.

    Raises:
        HeadstartError: the server is still away.
    """
    tracking = read(path)
    if "experiment_id" not in tracking:
        tracking = prepare(path.parents[1] / "mlflow", path.parent.name, tracking["uri"])
        write(path, tracking)
    return tracking
