"""The report is one file that needs nothing else, and holds whatever a data set may be called."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import HeadstartError
from headstart.report import formats, pages

HOSTILE = "<script>alert('x')</script> & \"猫\""
VOID = {"meta", "link", "img", "br"}


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


def picture(path: Path, noise: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((300, 400, 3), 250, np.uint8)
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def run_folder(root: Path, strategy: str, seed: int) -> Path:
    folder = root / strategy / f"seed-{seed}"
    for name in ("confusion", "curves", "mistakes", "reliability"):
        picture(folder / "figures" / f"{name}.png", noise=name == "mistakes")
    value = {"value": 0.8, "low": 0.75, "high": 0.85}
    scores = {"metrics": {"accuracy": value, "roc_auc": {**value, "low": None, "high": None}}}
    made = {"strategy": strategy, "fraction": 1.0, "split": 0, "seed": seed}
    made |= {
        "mlflow_run_id": "run-id-7",
        "settings": {"note": HOSTILE},
        "versions": {"torch": "2"},
        "split_hash": "5p1i7",
    }
    (folder / "run.json").write_text(json.dumps(made))
    (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


def arguments(root: Path, strategies: list[str], classes: list[str]) -> dict[str, Any]:
    keys = ["accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "macro_f1", "ece"]
    row: dict[str, Any] = dict.fromkeys(keys, 0.8) | {
        "fraction": 1.0,
        "runs": 1,
        "splits": 1,
        "seeds": 1,
        "trials": 4,
        "derived": "",
        "device_seconds": 7.0,
        "train_seconds": 9.0,
    }
    row |= {"images_per_second": 70.0, "peak_memory_bytes": float("nan")}
    row |= {"trainable_parameters": 10, "device": "cpu"}
    table = pd.DataFrame([{"strategy": name, **row} for name in strategies])
    pair: dict[str, Any] = {"difference": 0.027, "low": -0.001, "high": 0.05, "p_holm": 0.0001}
    pair |= {"answer": "better", "about": "strategies", "confidence": 0.95, "within_margin": True}
    pair |= {"margin_low": 0.0, "margin_high": 0.05, "margin_confidence": 0.9}
    pair |= {"p_margin_holm": 0.03, "variance": {"images": 0.5, "seeds": 0.2, "both": 0.3}}
    pair |= {"needed": {"images": 900, "seeds": None, "together": None}}
    pair["mcnemar"] = [{"split": 0, "seed": 0, "only_a": 1, "only_b": 2, "p": 1.0}]
    pairs = [{"a": a, "b": b, **pair} for a, b in zip(strategies, strategies[1:], strict=False)]
    verdict = {"fraction": 1.0, "n_test": 4, "leader": strategies[0], "statement": "It depends."}
    verdict |= {"margin": 1.0, "metric_name": "accuracy", "optimism": 0.004, "n_seeds": 1}
    verdict |= {"n_groups": None, "learning_curve": None, "tests": []}
    entry = {"mean": 0.8, "low": 0.75, "high": 0.85, "chance_best": 0.64}
    verdict |= {"strategies": [{"strategy": name, **entry} for name in strategies]}
    ids = [f"i{i}" for i in range(3 * len(classes))]
    manifest = pd.DataFrame({"id": ids, "label": classes * 3, "status": "ok"})
    manifest.loc[len(ids)] = ["bad", "x", HOSTILE]
    split = pd.DataFrame({"id": ids, "split-0": ["train", "val", "test"] * len(classes)})
    return {
        "experiment": {"experiment": "e", "dataset": {"address": "https://example.org/<i>.zip"}},
        "verdict": {**verdict, "majority_floor": 0.5, "n_splits": 1, "comparisons": pairs},
        "summary": table,
        "runs": table.assign(split=0, seed=0),
        "run_dirs": [run_folder(root, name, 0) for name in strategies],
        "manifest": manifest,
        "split": split,
        "notes": [f"duplicates: {HOSTILE}"],
        "comparison_figures": {HOSTILE: picture(root / "a.png")},
        "sanity_figures": {"photographs": picture(root / "b.png", noise=True)},
    }


@pytest.fixture
def build(tmp_path: Path) -> Any:
    def build(strategies: list[str], classes: list[str], **changes: Any) -> Page:
        given = arguments(tmp_path, strategies, classes) | changes
        pages.build(tmp_path / "new" / "report.html", pages.Study(**given))
        return Page((tmp_path / "new" / "report.html").read_text(encoding="utf-8"))

    return build


def test_nothing_is_fetched(build: Any, tmp_path: Path) -> None:
    page = build(["full", "head_only"], [HOSTILE, "b"])
    addresses = [
        str(value)
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "poster", "style"}
    ]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not page.named("script")
    styles = re.findall(r"<style>(.*?)</style>", (tmp_path / "new/report.html").read_text(), re.S)
    assert len(styles) == 1 and "url(" not in styles[0] and "@import" not in styles[0]


def test_links_inside_the_page_lead_somewhere(build: Any) -> None:
    page = build(["full"], ["a"])
    ids = [attributes.get("id") for _, attributes in page.tags]
    targets = [str(link["href"])[1:] for link in page.named("a")]
    assert len(targets) == 8 and set(targets) <= set(ids)


def test_names_are_escaped_and_shown(build: Any) -> None:
    page = build(["full"], [HOSTILE, "b"])
    assert page.text.count(HOSTILE) >= 4
    assert HOSTILE in [image["alt"] for image in page.named("img")]


def test_every_figure_is_embedded_whole(build: Any) -> None:
    images = build(["full", "head_only"], ["a", "b"]).named("img")
    assert len(images) == 2 * 4 + 2
    kinds = []
    for image in images:
        head, data = str(image["src"]).split(";base64,")
        kinds.append(head)
        assert base64.b64decode(data, validate=True)[:4] in (b"\x89PNG", b"RIFF")
        assert image["alt"] and image["width"] == "400"
    assert kinds.count("data:image/webp") == 3, "photographs are re-encoded, charts are not"


def test_the_facts_are_there(build: Any) -> None:
    text = " ".join(build(["full", "head_only"], ["a", "b"]).text.split())
    for fact in ("It depends.", "+2.7", "−0.1 to +5.0", "< 0.001", "run-id-7", "5p1i7", "torch 2"):
        assert fact in text, fact
    assert "7 files, 6 images in 2 classes: 2 train, 2 val, 2 test." in text


def test_images_are_counted_in_the_first_of_several_splits(build: Any, tmp_path: Path) -> None:
    split = arguments(tmp_path, ["full"], ["a", "b"])["split"]
    split = split.assign(**{"split-1": "val", "split-2": split["split-0"]})
    text = " ".join(build(["full"], ["a", "b"], split=split).text.split())
    assert "2 train, 2 val, 2 test in the first of 3 splits." in text


def test_runs_on_several_splits_say_on_which(build: Any, tmp_path: Path) -> None:
    one = build(["full", "head_only"], ["a", "b"]).text
    assert "split 0" not in one
    verdict = arguments(tmp_path, ["full", "head_only"], ["a", "b"])["verdict"]
    text = build(["full", "head_only"], ["a", "b"], verdict=verdict | {"n_splits": 2}).text
    assert "split 0, seed 0" in text and "· split 0 · seed 0" in " ".join(text.split())


def test_what_surrounds_the_pictures_has_a_section_of_its_own(build: Any, tmp_path: Path) -> None:
    verdict = arguments(tmp_path, ["full"], ["a", "b"])["verdict"]
    verdict |= {"shortcut_floor": {"accuracy": 0.61, "low": 0.5, "high": 0.7}}
    given = {"verdict": verdict, "health_figures": {"surroundings": picture(tmp_path / "c.png")}}
    page = build(["full"], ["a", "b"], **given)
    text = " ".join(page.text.replace("\u00a0", " ").split())
    assert "right on 61.0 % of the test images (50.0 % to 70.0 %)" in text
    assert {"href": "#health"} in page.named("a")
    assert "surroundings" in [image["alt"] for image in page.named("img")]
    without = build(["full"], ["a", "b"], verdict=verdict)
    assert {"href": "#health"} not in without.named("a") and "61.0" not in without.text


def test_further_sets_have_a_section_of_their_own(build: Any, tmp_path: Path) -> None:
    names = ["full", "head_only"]
    verdict = arguments(tmp_path, names, ["a", "b"])["verdict"]
    best = {**verdict["strategies"][1], "mean": 0.71}
    there = verdict | {"strategies": [best, verdict["strategies"][0]]}
    told = {"name": "field", "leader": "head_only", "statement": "on field it is otherwise"}
    given = {"verdict": verdict | {"tests": [told]}, "tests": {"field": there}}
    page = build(names, ["a", "b"], **given, test_notes={"field": ["3 left out"]})
    text = " ".join(page.text.replace("\u00a0", " ").split())
    assert "field On field it is otherwise. " in text and "3 left out" in text
    assert "head_only 0.710 0.750 to 0.850 0.800 0.750 to 0.850 64 %" in text
    assert {"href": "#tests"} in page.named("a")
    assert {"href": "#tests"} not in build(names, ["a", "b"]).named("a")


def test_one_strategy_has_nothing_to_compare(build: Any) -> None:
    assert "nothing to compare" in build(["full"], ["a", "b"]).text


def test_many_classes_are_folded_away(build: Any) -> None:
    page = build(["full"], [f"class {i}" for i in range(200)])
    assert "Images of each of the 200 classes" in page.text and "class 199" in page.text


def test_many_runs_keep_the_report_small(build: Any, tmp_path: Path) -> None:
    folders = [run_folder(tmp_path, "full", seed) for seed in range(30)]
    page = build(["full"], ["a"], run_dirs=folders)
    assert len(page.named("img")) == 4 * pages.MOST_ILLUSTRATED + 2


def test_smaller_fractions_have_their_own_table(build: Any, tmp_path: Path) -> None:
    table = arguments(tmp_path, ["full"], ["a"])["summary"]
    page = build(["full"], ["a"], summary=pd.concat([table, table.assign(fraction=0.1)]))
    assert "With fewer training images" in page.text and "10\u00a0%" in page.text


def test_a_spoilt_run_is_named(build: Any, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "broken", 0)
    (folder / "run.json").write_text("{")
    with pytest.raises(HeadstartError, match=r"broken.*run\.json"):
        build(["full"], ["a"], run_dirs=[folder])


def test_a_spoilt_figure_is_named(build: Any, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.png"
    spoilt.write_bytes(b"no figure")
    with pytest.raises(HeadstartError, match=r"spoilt\.png"):
        build(["full"], ["a"], sanity_figures={"x": spoilt})


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


def test_the_three_answers_and_the_learning_curve(build: Any, tmp_path: Path) -> None:
    given = arguments(tmp_path, ["full", "head_only", "scratch"], ["a", "b"])["verdict"]
    given["comparisons"][1] |= {"answer": "undecided", "variance": None}
    pairs = [{"a": "full", "b": "scratch", "answer": "as good", "difference": 0.004}]
    gain = {"value": 0.012, "low": 0.004, "high": 0.02, "misfit": 0.003}
    given["learning_curve"] = {
        "fractions": [{"fraction": 0.5, "leader": "full", "comparisons": pairs}],
        "crossovers": [{"a": "full", "b": "scratch", "fraction": 0.3, "low": None, "high": 0.4}],
        "growth": [{"strategy": "full", "slope": 0.02, "low": 0.01, "high": 0.03, "gain": gain}],
    }
    text = " ".join(build(["full", "head_only", "scratch"], ["a", "b"], verdict=given).text.split())
    for said in (
        "better, by less than the margin",
        "undecided",
        "as good as scratch (+0.4)",
        "full overtakes scratch at about 30 % of the training images",
        "below the smallest share to 40 %",
        "the best with a chance of 64 %",
    ):
        assert said in text, said
