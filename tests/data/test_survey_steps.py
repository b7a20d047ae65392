"""What becomes of a survey: checked before any job, printed by check, written by fetch."""

import runpy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from headstart import cli, preflight
from headstart.data import manifest, sources, splits
from headstart.experiment import config, lines, loading

ROOT = Path(__file__).parents[2]
HEAD = {"h": {"init": "pretrained", "phases": [{"train": "head", "epochs": 1, "lr": 0.1}]}}
NAMES = [f"{label}/{number}.jpg" for label in ("cat", "dog") for number in range(8)]


@pytest.fixture
def checked(tmp_path):
    """The survey that the check of an experiment on a folder comes to."""

    def check(**dataset: object) -> sources.Survey | None:
        images = {"source": "folder", "path": str(tmp_path / "images"), **dataset}
        raw = {"experiment": "e", "dataset": images, "strategies": HEAD}
        origin = lines.Origin(("e.yaml",), {})
        return preflight.check(loading.from_dict(raw), origin)

    return check


def in_parts(*parts: str) -> list[str]:
    return [f"{part}/{name}" for part in parts for name in NAMES]


@pytest.mark.parametrize(
    "parts, expected",
    [
        (("Training", "Testing"), {"Training": "train", "Testing": "test"}),
        (("seg_train", "seg_test"), {"seg_train": "train", "seg_test": "test"}),
        (("tr", "dev", "test"), {"tr": "train", "dev": "val", "test": "test"}),
        (("train_1", "train_2"), {"train_1": "train", "train_2": "train"}),
        (("train_1", "train_2", "valid", "seg_test"), {"train_1": "train", "train_2": "train"}),
    ],
)
def test_parts_are_divided_as_their_names_say(tmp_path, fill, checked, parts, expected):
    fill(tmp_path / "images", *in_parts(*parts))
    table = checked().table
    split = splits.split(
        table.assign(sha256=table["id"], status=manifest.OK), config.Split("auto", "auto", 0)
    ).merge(table[["id", "split"]], on="id", suffixes=("", "_of"))
    for part, side in expected.items():
        sides = set(split.loc[split["split_of"] == part, "split"])
        assert side in sides if side == "train" else sides == {side}


@pytest.mark.parametrize(
    "parts, words",
    [
        (("test",), ["no train part", "'test'"]),
        (("val", "test"), ["no train part", "'test' and 'val'"]),
        (("train", "val", "valid"), ["dataset.split.val", "'val' and 'valid'", "dataset.exclude"]),
        (("train", "test", "Test"), ["dataset.split.test", "'Test' and 'test'", "dataset.exclude"]),
        (("x_train", "a_test", "b_test"), ["dataset.split.test", "'a_test' and 'b_test'"]),
    ],
)
def test_parts_that_leave_a_choice_are_one_line(tmp_path, fill, checked, mistake, parts, words):
    fill(tmp_path / "images", *in_parts(*parts))
    text = mistake(checked)
    assert [word for word in words if word not in text] == [], text


def test_a_choice_between_parts_trains_on_neither(tmp_path, fill, checked, mistake):
    fill(tmp_path / "images", *in_parts("train", "val", "valid"))
    text = mistake(lambda: checked(split={"val": "valid"}))
    assert "dataset.split.val is 'valid', but the source has 'val' too" in text
    assert len(checked(split={"val": "valid"}, exclude=["/val/"]).table) == 32
    assert len(checked(exclude=["/val/"]).table) == 32


def test_a_table_without_a_train_part_is_one_line(tmp_path, fill, make_dataset, mistake):
    fill(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "t.csv").write_text("id,kind,part\na,x,1\nb,y,1\nc,y,0\n")
    part = {"column": "part", "values": {"0": "train", "1": "test"}}
    table = {"file": "t.csv", "image": "{id}.jpg", "label": "kind", "part": part}
    given = make_dataset("csv", path=str(tmp_path), table=table, exclude=["c.jpg"])
    text = mistake(sources.survey, given)
    assert text.startswith("dataset.table.part: no image of t.csv is in part train, only in 'test'")


def test_check_prints_classes_first_images_and_notes(tmp_path, fill, monkeypatch, capsys):
    fill(tmp_path / "images", *in_parts("train", "test"), "train/1.png")
    dataset = {"source": "folder", "path": str(tmp_path / "images")}
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump({"experiment": "e", "dataset": dataset, "strategies": HEAD}))
    monkeypatch.setattr(cli, "_dry_run", lambda *_: 0)
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:6] == [
        "images      32 files in 2 classes, 16 to 16 a class",
        "classes     cat 16, dog 16",
        "first       of test: test/cat/0.jpg, test/cat/1.jpg, test/cat/2.jpg",
        "first       of train: train/cat/0.jpg, train/cat/1.jpg, train/cat/2.jpg",
        "note        1 image beside the class folders is left out, as no folder says the class: "
        "'train/1.png'",
    ]


def test_fetch_writes_the_listing_and_the_notes(tmp_path, fill):
    fill(tmp_path / "images", *NAMES, "cat/0.png", "Käse.jpg")
    step = runpy.run_path(str(ROOT / "workflow/scripts/fetch.py"))
    files = step["Files"](tmp_path / "source.csv", tmp_path / "notes.txt")
    dataset = config.Dataset("folder", path=str(tmp_path / "images"), group=r"\d+")
    step["main"](config.plain(dataset), tmp_path / "downloads", files)
    listing = pd.read_csv(files.source, dtype=str, keep_default_na=False)
    assert listing.equals(sources.list_images(dataset))
    notes = files.notes.read_text(encoding="utf-8").splitlines()
    assert notes == sources.survey(dataset).notes and len(notes) == 2
