"""report.html as people see it: in Chromium, wide and on a phone, in light, dark and on paper."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_study import HOSTILE, make, tuned

from headstart.report import pages

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
#: A4 at 96 pixels an inch within margins of 1 cm.
PAPER = {"width": 718, "height": 1047}


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a study that has every section, and a class with a hostile name."""
    root = tmp_path_factory.mktemp("browsed")
    study = make(root, classes=("a", HOSTILE), fractions=(0.3, 1.0))
    told = {"name": "field", "leader": "full", "statement": "on field all is as at home"}
    study = replace(
        study,
        verdict=study.verdict | {"tests": [told]},
        choices=tuned(study),
        tests={"field": study.verdict},
    )
    pages.build(root / "report.html", study, root / "tables")
    return (root / "report.html").as_uri()


Open = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Open]:
    """Open the report; at the end nothing may have been fetched, gone wrong or been asked."""
    contexts, wrong = [], []

    def open_(viewport: dict[str, int] = WIDE, **settings: Any) -> Any:
        contexts.append(browser.new_context(viewport=viewport, **settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    requests: list[str] = []
    yield open_
    for context in contexts:
        context.close()
    assert not wrong
    assert not [url for url in requests if url != address and not url.startswith("data:")]


def bottom(page: Any, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    return float(box["y"] + box["height"])


def shown(page: Any, selector: str) -> list[str]:
    """Texts of the visible elements."""
    found = page.locator(selector)
    return [each.inner_text() for each in found.all() if each.is_visible()]


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])
def test_the_first_screen_answers_advises_and_shows(
    opened: Open, viewport: dict[str, int], scripts: bool
) -> None:
    page = opened(viewport, java_script_enabled=scripts)
    assert "full leads with" in page.locator(".answer").inner_text()
    for selector in (".answer", ".take", "#verdict .chart"):
        assert bottom(page, selector) <= viewport["height"], selector
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_without_scripts_everything_can_be_read(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    assert len(shown(page, "[data-step] h3")) == 2
    assert not shown(page, ".controls") and not shown(page, ".slider")
    assert page.locator(".chart title").count() > 20


def test_toggles_hide_strategies_and_seeds(opened: Open) -> None:
    page = opened()
    hero = page.locator("#verdict .chart")
    assert hero.locator("g.tone-1").is_visible() and hero.locator(".seed").count() == 9
    page.get_by_role("checkbox", name="full").uncheck()
    assert not hero.locator("g.tone-1").is_visible() and hero.locator("g.tone-0").is_visible()
    assert shown(page, "#results tbody th") == ["head_only", "scratch"]
    page.get_by_role("checkbox", name="seed 2").uncheck()
    visible = [each for each in hero.locator(".seed").all() if each.is_visible()]
    assert len(visible) == 4
    assert not [text for text in shown(page, "#runs summary") if "seed 2" in text]
    page.get_by_role("checkbox", name="full").check()
    assert shown(page, "#results tbody th") == ["full", "head_only", "scratch"]


def test_tables_sort_by_value_both_ways(opened: Open) -> None:
    page = opened()
    accuracy = page.locator("#results").get_by_role("button", name="Test accuracy")
    accuracy.click()
    assert shown(page, "#results tbody th") == ["scratch", "head_only", "full"]
    head = page.locator("#results thead th").nth(1)
    assert head.get_attribute("aria-sort") == "ascending"
    accuracy.click()
    assert shown(page, "#results tbody th") == ["full", "head_only", "scratch"]
    assert head.get_attribute("aria-sort") == "descending"
    page.locator("#results").get_by_role("button", name="Strategy").click()
    assert shown(page, "#results tbody th") == ["full", "head_only", "scratch"]


def test_a_cell_of_the_confusion_matrix_shows_its_images(opened: Open) -> None:
    page = opened()
    cell = page.locator("#confusion td").nth(1)
    count = int(cell.inner_text())
    cell.get_by_role("button").click()
    panel = page.locator("#cell-1")
    assert f"{count} image" in panel.inner_text() and HOSTILE in panel.inner_text()
    pictures = panel.locator("img")
    assert pictures.count() == count
    assert all(picture.evaluate("it => it.naturalWidth") > 20 for picture in pictures.all())


def test_the_slider_steps_through_the_fractions(opened: Open) -> None:
    page = opened()
    assert shown(page, "[data-step] h3") == ["With 100\u00a0% of the training images"]
    page.get_by_role("slider").press("ArrowLeft")
    assert shown(page, "[data-step] h3") == ["With 30\u00a0% of the training images"]


def test_marks_tell_their_values_at_the_pointer(opened: Open) -> None:
    page = opened()
    assert not page.locator("#tip").is_visible()
    page.locator("#verdict .chart .mean").first.hover()
    assert page.locator("#tip").inner_text().startswith("full: 92.8")
    page.locator("h1").hover()
    assert not page.locator("#tip").is_visible()


def test_a_hostile_class_name_stays_text(opened: Open) -> None:
    page = opened()
    assert HOSTILE in shown(page, "#classes tbody th")
    assert page.locator("img[onerror]").count() == 0


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["light", "dark"]
)
def test_wcag_aa_holds(opened: Open, viewport: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    page = opened(viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.locator("#confusion td button").first.click()
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
    found = axe.Axe().run(page, options={"runOnly": rules})
    assert {"color-contrast"} <= {each["id"] for each in found.response["passes"]}
    assert found.violations_count == 0, found.generate_report()


def test_on_paper_nothing_is_cut(opened: Open) -> None:
    page = opened(PAPER, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    seen = page.evaluate(
        """() => [...document.querySelectorAll("figure, .pictures li, .sanity img, table, tr")]
          .map(each => [each, each.getBoundingClientRect(), getComputedStyle(each)])
          .map(([each, box, style]) => ({
            what: each.outerHTML.slice(0, 200), kind: each.tagName, kept: style.breakInside,
            right: box.right, width: box.width, height: box.height}))"""
    )
    assert {each["kind"] for each in seen} == {"FIGURE", "LI", "IMG", "TABLE", "TR"}
    for each in seen:
        assert each["width"] > 0, f"hidden: {each['what']}"
        assert each["right"] <= PAPER["width"] + 1, f"too wide: {each['what']}"
        if each["kind"] != "TABLE":
            assert each["height"] <= PAPER["height"], f"too tall: {each['what']}"
        assert each["kept"] == "avoid" or each["kind"] in ("IMG", "TABLE"), each["what"]
    assert page.pdf(format="A4", margin=dict.fromkeys(("left", "right"), "1cm"))[:5] == b"%PDF-"


def test_the_file_is_small(address: str) -> None:
    assert Path(address.removeprefix("file://")).stat().st_size < 8e6
