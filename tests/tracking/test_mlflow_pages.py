"""The addresses of the prepared pages; tests/browser opens them."""

import base64
import json
import zlib

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from headstart import HeadstartError
from headstart.tracking import connection, mlflow_pages
from headstart.tracking.runlog import RunLog

BASE = "http://127.0.0.1:5000"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> dict[str, str]:
    """A store with a strategy of a long name at many fractions."""
    prepared = connection.prepare(tmp_path_factory.mktemp("store") / "mlflow", "cells")
    for number in range(12):
        tags = {"strategy": "s" * 60, "fraction": str(number / 12)}
        RunLog.start(prepared, f"run {number}", {}, tags).end()
    return prepared


@pytest.fixture
def client(prepared) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(prepared["uri"])


def test_an_experiment_has_two_pages_whatever_its_size(client, prepared):
    pages = mlflow_pages.addresses(client, "cells", BASE, prepared["project"])
    assert list(pages) == ["Strategies", "Charts"]
    assert all(page.startswith(f"{BASE}/#/experiments/1/runs?") for page in pages.values())


def test_a_store_that_refuses_tags_has_its_runs_sorted(client, prepared, monkeypatch):
    def refuse(*_: object) -> None:
        raise MlflowException("PERMISSION_DENIED")

    monkeypatch.setattr(client, "set_experiment_tag", refuse)
    (page,) = mlflow_pages.addresses(client, "cells", BASE, prepared["project"]).values()
    assert "searchFilter=tags.%60headstart.kind%60+%3D+%27run%27" in page
    assert "orderByKey=metrics.%60test_accuracy%60&orderByAsc=false" in page


def saved(client: mlflow.MlflowClient, prepared: dict[str, str], view: str) -> dict:
    """The state of a view, as MLflow's page unpacks it."""
    tags = client.get_experiment(prepared["experiment_id"]).tags
    value = json.loads(tags[f"mlflow.sharedViewState.headstart-{view}-{prepared['project']}"])
    packed = base64.b64decode(value["state"].removeprefix("deflate;"))
    return json.loads(zlib.decompress(packed))


@pytest.mark.parametrize(
    "metric, ascending, columns",
    [
        ("macro_f1", False, ["macro_f1", "accuracy"]),
        ("log_loss", True, ["log_loss", "accuracy"]),
        ("accuracy", False, ["accuracy", "balanced_accuracy"]),
    ],
)
def test_the_best_by_the_verdicts_metric_stands_first(client, prepared, metric, ascending, columns):
    client.set_tag(prepared["parent_run_id"], mlflow_pages.METRIC, metric)
    assert mlflow_pages.publish(client, prepared["experiment_id"], prepared["project"])
    table, charts = (saved(client, prepared, view) for view in ("strategies", "charts"))
    for state in (table, charts):
        assert (state["orderByKey"], state["orderByAsc"]) == (f"metrics.`test_{metric}`", ascending)
    shown = [name for name in table["selectedColumns"] if "test_" in name]
    assert shown[:2] == [f"metrics.`test_{name}`" for name in columns]
    assert len(set(table["selectedColumns"])) == len(table["selectedColumns"])
    assert charts["compareRunCharts"][0]["metricKey"] == f"test_{metric}"


def test_an_experiment_that_is_not_there_is_one_line(client):
    with pytest.raises(HeadstartError, match="no experiment 'nowhere'.*headstart index"):
        mlflow_pages.addresses(client, "nowhere", BASE, "")
    assert mlflow_pages.addresses(client, None, BASE, "") == {
        "Experiments": f"{BASE}/#/experiments"
    }
