"""Make the pictures of pages in docs/images from the finished default experiment.

Needs playwright (a development dependency) and a chromium on the PATH.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from playwright.sync_api import Browser, Page, sync_playwright

from headstart import mlflow_pages, tracking, ui

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs/images"
EXPERIMENT = "elpv"
PORT = 5099


@contextmanager
def opened(browser: Browser, address: str, width: int, height: int) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    page.goto(address)
    yield page
    page.close()


def mlflow_view(browser: Browser, picture: Path) -> None:
    """What `headstart ui` opens on, once the assistant's panel beside it is closed."""
    store = tracking.uri(ROOT / "results/mlflow")
    with ui.running(store, PORT) as server:
        base = ui.wait_until_up(server, PORT)
        pages = mlflow_pages.addresses(mlflow.MlflowClient(store), EXPERIMENT, base)
        with opened(browser, pages[mlflow_pages.TABLE], 1440, 600) as page:
            page.get_by_text("Group: full").wait_for()
            if (panel := page.get_by_role("button", name="Close")).count():
                panel.last.click()
            page.wait_for_timeout(2000)  # until the table has taken the panel's place
            page.screenshot(path=picture)


PICTURES: dict[str, Callable[[Browser, Path], None]] = {
    "mlflow-view.png": mlflow_view,
}


def main() -> None:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, make in PICTURES.items():
            make(browser, IMAGES / name)
            print(f"wrote {IMAGES / name}")
        browser.close()


if __name__ == "__main__":
    main()
