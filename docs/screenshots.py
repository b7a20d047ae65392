"""Photograph what a person sees of a finished experiment, into docs/images.

python docs/screenshots.py            # of results/elpv; needs chromium and playwright

"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
#: Opens a page of a size, in a colour scheme, light or dark.
PageFactory = Callable[[dict[str, int], str], Any]


def report(page_factory: PageFactory, experiment: Path, images: Path) -> None:
    """The report's first screen in light, in dark and on a phone, and what models looked at."""
    address = (experiment / "report.html").resolve().as_uri()
    for name, viewport, scheme in (
        ("report", WIDE, "light"),
        ("report_dark", WIDE, "dark"),
        ("report_phone", PHONE, "light"),
    ):
        page = page_factory(viewport, scheme)
        page.goto(address)
        page.screenshot(path=images / f"{name}.png")
    page = page_factory(WIDE, "light")
    page.goto(address)
    page.locator("#mistakes > div").first.screenshot(path=images / "report_mistakes.png")


def main(name: str = "elpv") -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )

        def page_factory(viewport: dict[str, int], scheme: str) -> Any:
            return browser.new_page(viewport=viewport, color_scheme=scheme)

        report(page_factory, ROOT / "results" / name, ROOT / "docs/images")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
