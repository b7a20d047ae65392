"""The pages that the MLflow UI opens on: strategies at a glance, and their charts.

The UI keeps a saved view as a tag of the experiment: JSON with the view's name and its state,
which is JSON again, compressed with zlib. An address names the view by the tag's last part.
"""

import base64
import json
import logging
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from headstart import HeadstartError
from headstart.experiment.config import LOSSES
from headstart.tracking import database, projects, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

TABLE, CHARTS = "Strategies", "Charts"
#: The tag of a project's own run that names what its verdict compares strategies by.
METRIC = "headstart.metric"

_TAG = "mlflow.sharedViewState."
_RUNS = "tags.`headstart.kind` = 'run' AND tags.`headstart.superseded` = 'false'"
# The columns in their order, with widths that leave the answer on a narrow screen.
_COLUMNS = {
    "test_accuracy": 115,
    "accuracy_low": 100,
    "accuracy_high": 100,
    "test_balanced_accuracy": 155,
    "test_log_loss": 95,
    "device_seconds": 110,
    "trainable_parameters": 145,
}


def publish(client: "MlflowClient", experiment_id: str, project: str) -> bool:
    """Put both views, for the strategies and fractions that the project has, into the store.

    Returns:
        Whether the store has them now: a server may refuse tags.
    """
    from mlflow.exceptions import MlflowException

    shown = _shown(client, experiment_id, project)
    found = _grouped(client.search_runs([experiment_id], shown, max_results=5000))
    metric = _metric(client, experiment_id, project)
    grouped = found | _order(metric) | {"searchFilter": shown, "runsHiddenMode": "SHOW_ALL"}
    pages = {TABLE: _table(grouped, metric), CHARTS: _charts(grouped, metric)}
    try:
        for name, state in pages.items():
            key = _TAG + _key(name, project)
            client.set_experiment_tag(experiment_id, key, _saved(name, state))
    except MlflowException as error:
        logger.warning("MLflow takes no prepared pages: %s", store.reason(error))
        return False
    return True


def _metric(client: "MlflowClient", experiment_id: str, project: str) -> str:
    """What the project's verdict compares strategies by; accuracy where there is none yet."""
    query = f"tags.`{METRIC}` != '' AND {projects.of(project)}"
    found = client.search_runs([experiment_id], query, max_results=1)
    return str(found[0].data.tags[METRIC]) if found else "accuracy"


def _order(metric: str) -> dict[str, Any]:
    """The best first."""
    return {"orderByKey": f"metrics.`test_{metric}`", "orderByAsc": metric in LOSSES}


def _shown(client: "MlflowClient", experiment_id: str, project: str) -> str:
    """The query for the project's runs, or, where it has none, for everybody's."""
    own = f"{_RUNS} AND {projects.of(project)}"
    return own if client.search_runs([experiment_id], own, max_results=1) else _RUNS


def addresses(
    client: "MlflowClient", experiment: str | None, base: str, project: str
) -> dict[str, str]:
    """Where to look, by a name: the views of an experiment, or a list where there are none.

    Args:
        base: the address of the server.
        project: the identity of the project whose runs are shown.

    Raises:
        HeadstartError: the store has no such experiment.
    """
    if experiment is None:
        return {"Experiments": f"{base}/#/experiments"}
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise HeadstartError(f"MLflow has no experiment {experiment!r}; {database.ADVICE}")
    runs = f"{base}/#/experiments/{found.experiment_id}/runs?workflowType=machine_learning&"
    if not publish(client, found.experiment_id, project):
        shown = _shown(client, found.experiment_id, project)
        order = _order(_metric(client, found.experiment_id, project))
        ascending = {"orderByAsc": str(order["orderByAsc"]).lower()}
        return {"Runs": runs + urlencode({"searchFilter": shown} | order | ascending)}
    table = {"viewStateShareKey": _key(TABLE, project)}
    charts = {"compareRunsMode": "CHART", "viewStateShareKey": _key(CHARTS, project)}
    return {TABLE: runs + urlencode(table), CHARTS: runs + urlencode(charts)}


def _key(view: str, project: str) -> str:
    return f"headstart-{view.lower()}-{project}"


def _saved(name: str, state: dict[str, Any]) -> str:
    """The tag's value. MLflow refuses one of more than 5000 characters."""
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    return json.dumps({"name": name, "createdAt": 0, "state": f"deflate;{packed}"})


def _grouped(runs: list["Run"]) -> dict[str, Any]:
    """Rows of strategies, or of strategies and fractions if there are several; all collapsed."""
    fractions = {run.data.tags["fraction"] for run in runs}
    tags = ["strategy", "fraction"] if len(fractions) > 1 else ["strategy"]
    groups = {",".join(f"tag.{tag}.{run.data.tags[tag]}" for tag in tags) for run in runs}
    return {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": tag} for tag in tags],
        },
        "groupsExpanded": dict.fromkeys(sorted(groups), False),
    }


def _table(grouped: dict[str, Any], metric: str) -> dict[str, Any]:
    named = {name: _COLUMNS.get(name, 115) for name in (f"test_{metric}", *_COLUMNS)}
    columns = {f"metrics.`{name}`": width for name, width in named.items()}
    widths = {"attributes.`Run Name`": 195, "runDateAndNestInfo": 80} | columns
    return grouped | {
        "selectedColumns": list(columns),
        "columnOrder": ["1", *widths, "duration"],
        "columnWidths": widths,
    }


def _charts(grouped: dict[str, Any], metric: str) -> dict[str, Any]:
    common = {"deleted": False, "isGenerated": False, "runsCountToCompare": 100}
    test, training = ({"metricSectionId": section} for section in ("test", "training"))
    compared = f"test_{metric}"
    bars = [
        {"uuid": name, "type": "BAR", "metricKey": name} | test | common
        for name in dict.fromkeys([compared, "test_accuracy", "test_log_loss", "device_seconds"])
    ]
    cost = {
        "uuid": "cost",
        "type": "SCATTER",
        "xaxis": {"key": "device_seconds", "type": "METRIC"},
        "yaxis": {"key": compared, "type": "METRIC"},
    }
    lines = [
        {"uuid": name, "type": "LINE", "metricKey": name, "selectedMetricKeys": [name]}
        | training
        | common
        for name in ("val_accuracy", "val_loss", "train_loss")
    ]
    shown = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return grouped | {
        "useGroupedValuesInCharts": False,
        "groupsExpanded": dict.fromkeys(grouped["groupsExpanded"], True),
        "isAccordionReordered": True,
        "compareRunCharts": [*bars, cost | test | common, *lines],
        "compareRunSections": [
            {"uuid": "test", "name": "Test"} | shown,
            {"uuid": "training", "name": "Training"} | shown,
        ],
    }
