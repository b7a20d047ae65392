"""Photograph what a person sees of the finished default experiment, into docs/images.

Needs playwright (a development dependency) and a chromium on the PATH.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
from playwright.sync_api import Browser, sync_playwright

from headstart import ui
from headstart.tracking import connection, mlflow_pages, projects

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs/images"
EXPERIMENT = "elpv"
PORT = 5099
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def report(browser: Browser) -> None:
    """The report's first screen in light, in dark and on a phone, and what models looked at."""
    address = (ROOT / "results" / EXPERIMENT / "report.html").as_uri()
    for name, viewport, scheme in (
        ("report", WIDE, "light"),
        ("report_dark", WIDE, "dark"),
        ("report_phone", PHONE, "light"),
    ):
        page = browser.new_page(viewport=viewport, color_scheme=scheme)
        page.goto(address)
        page.screenshot(path=IMAGES / f"{name}.png")
    page = browser.new_page(viewport=WIDE)
    page.goto(address)
    page.locator("#mistakes > div").first.screenshot(path=IMAGES / "report_mistakes.png")


def mlflow_view(browser: Browser) -> None:
    """What `headstart ui` opens on, once the assistant's panel beside it is closed."""
    store = connection.uri(ROOT / "results/mlflow")
    with ui.running(store, PORT) as server:
        base = ui.wait_until_up(server, PORT)
        project = projects.identity(ROOT / "results")
        pages = mlflow_pages.addresses(mlflow.MlflowClient(store), EXPERIMENT, base, project)
        page = browser.new_page(viewport={"width": 1440, "height": 600})
        page.set_default_timeout(60_000)
        page.goto(pages[mlflow_pages.TABLE])
        page.get_by_text("Group: full").wait_for()
        if (panel := page.get_by_role("button", name="Close")).count():
            panel.last.click()
        page.wait_for_timeout(2000)  # until the table has taken the panel's place
        page.screenshot(path=IMAGES / "mlflow-view.png")


PICTURES: tuple[Callable[[Browser], None], ...] = (report, mlflow_view)


def main() -> None:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for picture in PICTURES:
            picture(browser)
        browser.close()


if __name__ == "__main__":
    main()
