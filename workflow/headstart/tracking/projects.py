"""Which project a run belongs to, in a store that several projects log to.

A project's identity is made once and lies in results/: it moves with the folder, and another clone
has another one.
"""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

#: The tag of every run that says whose it is.
TAG = "headstart.project"

_MOST = 50_000  # runs that MLflow lists in one call


def identity(results: Path) -> str:
    """The project's own, made where it has none; one process at a time may ask."""
    path = results / ".project"
    if not path.exists():
        path.write_text(f"{uuid.uuid4().hex[:12]}\n")
    return path.read_text().strip()


def of(project: str) -> str:
    """The condition by which MLflow finds a project's runs."""
    return f"tags.`{TAG}` = '{project}'"


def experiment(client: "MlflowClient", name: str, location: str | None) -> str:
    """The id of the experiment, which another project may make at the same time."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def parent(client: "MlflowClient", experiment_id: str, name: str, project: str) -> str:
    """The id of the project's parent run in an experiment: its own, or a new one.

    Runs that say nothing of a project are older than this tag. They go to the first project that
    asks while there is a parent run among them.
    """
    found = _runs(client, experiment_id, "tags.`headstart.kind` = 'experiment'")
    own = [run for run in found if run.data.tags.get(TAG) == project]
    if not own:
        own = [run for run in found if TAG not in run.data.tags]
        if own:
            _adopt(client, experiment_id, project)
    if not own:
        tags = {"headstart.kind": "experiment", TAG: project, "mlflow.runName": name}
        return str(client.create_run(experiment_id, tags=tags).info.run_id)
    chosen = next((run for run in own if not store.is_deleted(run.info)), own[0])
    store.restore_run(client, chosen.info.run_id)
    return str(chosen.info.run_id)


def _adopt(client: "MlflowClient", experiment_id: str, project: str) -> None:
    for run in _runs(client, experiment_id):
        if TAG not in run.data.tags and not store.is_deleted(run.info):
            client.set_tag(run.info.run_id, TAG, project)


def _runs(client: "MlflowClient", experiment_id: str, query: str = "") -> "list[Run]":
    """Deleted ones too."""
    from mlflow.entities import ViewType

    return list(client.search_runs([experiment_id], query, ViewType.ALL, max_results=_MOST))
