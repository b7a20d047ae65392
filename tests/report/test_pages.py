"""The report is one file that needs nothing else, and holds whatever a data set may be called."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_study import HOSTILE, figure, make, tuned

from headstart import HeadstartError
from headstart.report import examples, formats, pages
from headstart.report.study import Study

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects them with their attributes and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.words = " ".join(self.text.replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three strategies, three seeds, two fractions, a class with a hostile name."""
    root = tmp_path_factory.mktemp("study")
    return make(root, classes=("a", HOSTILE), fractions=(0.3, 1.0))


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Page]:
    def build(study: Study, **changes: Any) -> Page:
        path = tmp_path / "new" / "report.html"
        pages.build(path, replace(study, **changes), tmp_path / "tables")
        return Page(path.read_text(encoding="utf-8"))

    return build


@pytest.fixture(scope="session")
def whole(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of the whole study."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    pages.build(path, study, path.parent / "tables")
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_is_fetched(whole: Page) -> None:
    addresses = [
        str(value)
        for _, attributes in whole.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "poster"}
    ]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert len(whole.named("script")) == 2 and len(whole.named("style")) == 1
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", whole.text)


def test_links_inside_the_page_lead_somewhere(whole: Page) -> None:
    ids = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    targets = [str(link["href"])[1:] for link in whole.named("a")]
    assert len(targets) >= 14 and set(targets) <= set(ids) and len(ids) == len(set(ids))


def test_names_are_escaped_and_shown(whole: Page) -> None:
    assert whole.text.count(HOSTILE) >= 10
    assert not [image for image in whole.named("img") if image.get("src") == "x"]
    assert "Small <b>study</b>" in whole.text


def test_the_first_screen_has_the_answer_the_advice_and_the_costs(whole: Page) -> None:
    first = whole.words[: whole.words.index("How to read this")]
    for said in (
        "full leads with 92.8 % accuracy: better than scratch and undecided against head_only.",
        "No strategy is shown to be as good as the best within 1 point;",
        "A run of full costs 21 s of device time and trains 10 parameters.",
        "full, split 0, seed 2: ",
    ):
        assert said in first, said


def test_every_picture_is_embedded_whole(whole: Page) -> None:
    album = json.loads(whole.text[whole.text.rindex('[{"id"') :].split("\n")[0])
    sources = [str(image["src"]) for image in whole.named("img")]
    for source in [*sources, *(picture["source"] for picture in album)]:
        head, data = source.split(";base64,")
        assert head in ("data:image/png", "data:image/webp")
        assert base64.b64decode(data, validate=True)[:4] in (b"\x89PNG", b"RIFF")
    assert all(image["alt"] for image in whole.named("img"))


def test_the_facts_are_there(whole: Page) -> None:
    for fact in ("run-id-7", "5p1i7", "torch 2", "a CPU", "epoch 3"):
        assert fact in whole.words, fact
    assert "65 files, 64 images in 2 classes: 2 train, 2 val, 60 test." in whole.words
    assert "right on 61.0 % of the test images (50.0 % to 70.0 %)" in whole.words


def test_cells_of_the_confusion_matrix_name_their_images(study: Study, whole: Page) -> None:
    cells = [cell for cell in whole.named("td") if "data-pictures" in cell]
    counts = [int(str(cell["data-count"])) for cell in cells]
    assert len(cells) == 3 * 4 and sum(counts) == 3 * 60
    for cell, count in zip(cells, counts, strict=True):
        shown = str(cell["data-pictures"]).split()
        assert len(shown) == min(count, examples.MOST_IN_CELL)
    names = [cell["data-name"] for cell in cells]
    assert any(f"of a, answered {HOSTILE}" in str(name) for name in names)


def test_disagreements_are_what_the_runs_answered(study: Study, whole: Page) -> None:
    right = {}
    for name in ("full", "scratch"):
        runs = [run.predictions for run in study.compared[name]]
        answers = pd.concat([(run.label == run.predicted).set_axis(run.id) for run in runs], axis=1)
        right[name] = answers.mean(axis=1)
    count = int(((right["full"] > 0.5) & (right["scratch"] < 0.5)).sum())
    assert count and f"full right, scratch wrong: {count} image" in whole.words


def test_mistakes_stand_beside_what_the_model_looked_at(
    study: Study, whole: Page, tmp_path: Path, page: Any
) -> None:
    def looked(made: Page) -> int:
        return sum("looked at" in str(image["alt"]) for image in made.named("img"))

    counts = {
        name: min(8, int((answers.label != answers.predicted).sum()))
        for name, run in study.shown.items()
        for answers in [run.predictions]
    }
    assert counts["scratch"] == 8 and looked(whole) == sum(counts.values())
    blind = study.shown["scratch"].folder
    copy = Path(shutil.copytree(blind, tmp_path / "blind"))
    np.savez_compressed(copy / "evidence.npz", ids=np.array(["x"]), maps=np.zeros((1, 0, 0)))
    folders = [copy if folder == blind else folder for folder in study.run_dirs]
    made = page(study, run_dirs=folders)
    assert looked(made) == sum(counts.values()) - 8
    assert "has no last feature map with places" in made.words
    assert "has no last feature map with places" not in whole.words


def test_images_are_counted_in_the_first_of_several_splits(study: Study, page: Any) -> None:
    split = study.split.assign(**{"split-1": "val"})
    verdict = study.verdict | {"n_splits": 2}
    text = page(study, split=split, verdict=verdict).words
    assert "2 train, 2 val, 60 test in the first of 2 splits." in text
    assert "full, split 0, seed 0" in text and "· split 0 · seed 0" in text


def test_further_sets_have_a_section_of_their_own(study: Study, page: Any) -> None:
    first, second, third = study.verdict["strategies"]
    there = study.verdict | {"strategies": [{**second, "mean": 0.71}, first, third]}
    told = {"name": "field", "leader": "head_only", "statement": "on field it is otherwise"}
    verdict = study.verdict | {"tests": [told]}
    made = page(study, verdict=verdict, tests={"field": there}, test_notes={"field": ["3 left"]})
    assert "field On field it is otherwise. " in made.words and "3 left" in made.words
    assert "Strategy Accuracy on field At home" in made.words and "head_only 71.0 %" in made.words
    assert {"href": "#tests"} in made.named("a")


def test_what_there_is_nothing_of_has_no_section(whole: Page) -> None:
    assert {"href": "#learning"} in whole.named("a")
    assert not [a for a in whole.named("a") if a["href"] in ("#tests", "#tuning")]


def test_tuning_shows_every_trial(study: Study, page: Any) -> None:
    made = page(study, choices=tuned(study))
    assert "full 100 % 0 lr 0.003 chosen 0.400 80.0 %" in made.words
    assert "lr 0.003, chosen" in made.words
    assert "Judged by 24 images, where chance has a large part in the choice" in made.words
    assert "The best lr is the last one tried on its side." in made.words
    assert {"href": "#tuning"} in made.named("a")


def test_every_fraction_has_a_step_of_the_slider(whole: Page) -> None:
    (slider,) = [each for each in whole.named("input") if each["type"] == "range"]
    steps = [each for each in whole.named("div") if "data-step" in each]
    assert slider["max"] == "1" and [step["data-name"] for step in steps] == [
        "30\u00a0%",
        "100\u00a0%",
    ]
    assert "At 30 % full leads: " in whole.words


def test_one_strategy_has_nothing_to_compare(tmp_path: Path, page: Any) -> None:
    made = page(make(tmp_path / "one", ("full",), seeds=(0,)))
    assert "nothing to compare" in made.words and "full, the only strategy, reaches" in made.words
    assert not [each for each in made.named("input") if each["type"] == "range"]


def test_many_classes_are_folded_away(tmp_path: Path, page: Any) -> None:
    classes = tuple(f"class {k:03d}" for k in range(40))
    made = page(make(tmp_path / "many", ("full", "scratch"), classes, seeds=(0,), n_test=200))
    assert "Images of each of the 40 classes" in made.words and "class 039" in made.words
    assert "Recall and precision of each of the 40 classes" in made.words
    assert "Images Label Answered" in made.words


def test_a_class_without_a_test_image_has_no_recall(tmp_path: Path, page: Any) -> None:
    made = page(make(tmp_path / "few", ("full", "scratch"), tuple("abcdef"), n_test=5))
    assert "f 0 – – – –" in made.words


def test_tables_are_written_for_papers(study: Study, tmp_path: Path, page: Any) -> None:
    page(study)
    folder = tmp_path / "tables"
    results = pd.read_csv(folder / "results.csv")
    assert list(results.strategy) == ["full", "head_only", "scratch"]
    assert results.accuracy_low.lt(results.accuracy).all()
    markdown = (folder / "results.md").read_text()
    assert re.search(r"\| full +\| +92.8\u00a0% \(\d", markdown)
    latex = (folder / "results.tex").read_text()
    assert r"head\_only" in latex and r"\toprule" in latex and r"92.8" in latex and "\\%" in latex
    assert latex.count("{") == latex.count("}")
    assert "<img" not in (folder / "per_class.md").read_text()
    assert "$-$" in (folder / "differences.tex").read_text()
    stems = {path.stem for path in folder.iterdir()}
    assert {"results", "costs", "differences", "per_class", "images", "fractions"} <= stems
    assert len(list(folder.iterdir())) == 3 * len(stems)


def test_a_spoilt_run_is_named(study: Study, tmp_path: Path, page: Any) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    with pytest.raises(HeadstartError, match=r"broken.*run\.json"):
        page(study, run_dirs=[*study.run_dirs, broken])


def test_a_spoilt_figure_is_named(study: Study, tmp_path: Path, page: Any) -> None:
    spoilt = tmp_path / "spoilt.png"
    spoilt.write_bytes(b"no figure")
    with pytest.raises(HeadstartError, match=r"spoilt\.png"):
        page(study, sanity_figures={"x": spoilt})


def test_photographs_are_encoded_anew_and_charts_are_not(tmp_path: Path) -> None:
    chart, photograph = figure(tmp_path / "a.png"), figure(tmp_path / "b.png", noise=True)
    assert pages.embed(chart)["source"].startswith("data:image/png")
    assert pages.embed(photograph)["source"].startswith("data:image/webp")
    assert pages.embed(photograph)["width"] == 400


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "–"),
        (float("nan"), "–"),
        (None, "–"),
        (0.5, "0.5 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (191, "3 min 11 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(value: float | None, text: str) -> None:
    assert formats.duration(value).replace("\u00a0", " ") == text


def test_sizes_and_points() -> None:
    assert formats.size(1.9e9) == "1.8\u00a0GiB" and formats.size(float("nan")) == "–"
    assert formats.points(-0.0123) == "−1.2" and formats.points(None) == "–"
    assert formats.percent(0.872) == "87.2\u00a0%"


def test_the_three_answers_and_the_learning_curve(study: Study, page: Any) -> None:
    first, second, third = study.verdict["comparisons"]
    verdict = dict(study.verdict)
    verdict["comparisons"] = [
        first | {"answer": "better", "within_margin": True},
        second | {"answer": "undecided", "variance": None},
        third | {"answer": "as good"},
    ]
    pairs = [{"a": "full", "b": "scratch", "answer": "as good", "difference": 0.004}]
    gain = {"value": 0.012, "low": 0.004, "high": 0.02, "misfit": 0.003}
    verdict["learning_curve"] = {
        "fractions": [{"fraction": 0.5, "leader": "full", "comparisons": pairs}],
        "crossovers": [{"a": "full", "b": "scratch", "fraction": 0.3, "low": None, "high": 0.4}],
        "growth": [{"strategy": "full", "slope": 0.02, "low": 0.01, "high": 0.03, "gain": gain}],
    }
    text = page(study, verdict=verdict).words
    for said in (
        "better, by less than the margin",
        "undecided",
        "as good",
        "as good as scratch (+0.4)",
        "full overtakes scratch at about 30 % of the training images",
        "below the smallest share to 40 %",
        "+1.2 +0.4 to +2.0",
    ):
        assert said in text, said
