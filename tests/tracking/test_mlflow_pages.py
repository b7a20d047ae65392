"""The addresses of the prepared pages; tests/browser opens them."""

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


def test_an_experiment_that_is_not_there_is_one_line(client):
    with pytest.raises(HeadstartError, match="no experiment 'nowhere'.*headstart index"):
        mlflow_pages.addresses(client, "nowhere", BASE, "")
    assert mlflow_pages.addresses(client, None, BASE, "") == {
        "Experiments": f"{BASE}/#/experiments"
    }
