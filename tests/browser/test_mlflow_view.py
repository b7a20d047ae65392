"""What MLflow shows a person who asks for the answer: strategies at a glance, and their charts."""

import re
from collections.abc import Iterator

import mlflow
import pytest
import small_results
from ports import free_port

from headstart import index, ui
from headstart.tracking import mlflow_pages, projects

WIDTH, HEIGHT = 1440, 900


@pytest.fixture(scope="module")
def pages(browser, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The addresses that `headstart ui` prints, while it serves an indexed experiment."""
    results = tmp_path_factory.mktemp("project") / "results"
    small_results.write(results / "cells")
    address = f"sqlite:///{results / 'mlflow.db'}"
    list(index.make(results, address))
    port = free_port()
    with ui.running(address, port) as server:
        base = ui.wait_until_up(server, port)
        project = projects.identity(results)
        yield mlflow_pages.addresses(mlflow.MlflowClient(address), "cells", base, project)


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def test_the_first_screen_shows_each_strategy_with_its_mean_accuracy(pages, page):
    page.goto(pages["Strategies"])
    rows = page.locator(".ag-center-cols-container [role=row]").filter(has_text="0.")
    rows.nth(3).wait_for()
    names = page.locator("text=/^Group: /").all_inner_texts()
    assert names == ["Group: mean", "Group: full", "Group: head_only", "Group: scratch"]
    for name in names:
        strategy = name.removeprefix("Group: ")
        box = page.locator(f"text='{name}'").bounding_box()
        assert box is not None and box["y"] + box["height"] < HEIGHT
        seeds = (0,) if strategy == "mean" else small_results.SEEDS
        mean = sum(small_results.accuracy(strategy, seed) for seed in seeds) / len(seeds)
        row = page.locator("[role=row]", has_text=name).first.get_attribute("row-index")
        cell = page.locator(f"[row-index='{row}'] [col-id='metrics.`test_accuracy`']")
        assert float(re.sub("[^0-9.]", "", cell.inner_text())) == pytest.approx(mean, abs=1e-4)
        box = cell.bounding_box()
        assert box is not None and box["x"] + box["width"] < WIDTH
    heads = page.locator(".ag-header-cell[col-id^='metrics.']").all()
    heads.sort(key=lambda head: (head.bounding_box() or {"x": 0})["x"])
    shown = [head.inner_text() for head in heads]
    assert shown[:3] == ["test_accuracy", "accuracy_low", "accuracy_high"]
    assert page.get_by_text("Judges").count() == 0, "no page of the GenAI kind"


def test_the_charts_open_with_all_runs(pages, page):
    page.goto(pages["Charts"])
    seeds = [(name, seed) for name in small_results.RIGHT for seed in small_results.SEEDS]
    for name, seed in [*seeds, ("mean", 0)]:
        page.get_by_role("link", name=f"{name}/fraction-1.0/split-0/seed-{seed}").wait_for()
    chart = page.locator(".js-plotly-plot").first
    chart.locator(".bars .point").nth(6).wait_for()
    assert chart.locator(".bars .point").count() == 7
    assert page.get_by_text("trial-0").count() == 0
