"""Tables: what is listed, under which label and part, and how mistakes are told."""

import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.data import sources, tables
from headstart.experiment import config

IDS = {"file": "labels.csv", "image": "train/{id}.jpg", "label": "breed"}
CUB = {
    "images": "1 001.Albatross/A_1.jpg\n2 001.Albatross/A_2.jpg\n3 002.Wren/W_1.jpg\n",
    "image_class_labels": "3 2\n1 1\n2 1\n",
    "classes": "1 001.Albatross\n2 002.Wren\n3 003.Unseen\n",
    "train_test_split": "1 1\n2 0\n3 1\n",
}
CUB_TABLE = {
    "file": "images.txt",
    "separator": "whitespace",
    "columns": ["image", "path"],
    "image": "images/{path}",
    "label": "name",
    "join": [
        {"file": f"{name}.txt", "separator": "whitespace", "columns": columns}
        for name, columns in [
            ("image_class_labels", ["image", "class"]),
            ("classes", ["class", "name"]),
            ("train_test_split", ["image", "is_train"]),
        ]
    ],
    "part": {"column": "is_train", "values": {1: "train", 0: "test"}},
}


@pytest.fixture
def cub(tmp_path: Path, pack: Callable, make_dataset: Callable) -> Callable[..., config.Dataset]:
    """The four tables of CUB-200 in an archive, some with other texts, under table settings."""

    def make(table: dict, **texts: str) -> config.Dataset:
        archive = pack(tmp_path / "cub.zip", "set/images/001.Albatross/A_1.jpg", **CUB | texts)
        return make_dataset("archive", address=str(archive), table=table)

    return make


@pytest.mark.parametrize(
    "separator, mark", [("tab", "\t"), ("semicolon", ";"), ("whitespace", "  ")]
)
def test_threshold_begins_the_second_class(make_package, separator, mark):
    rows = [("a", "0.4999"), ("b", "0.5"), ("c", "1")]
    dataset = make_package(
        "".join(f"{name}{mark}{value}\n" for name, value in rows),
        separator=separator,
        columns=("name", "kind"),
        threshold=config.Threshold(0.5, "low", "high"),
    )
    assert sources.list_images(dataset)["label"].tolist() == ["low", "high", "high"]


@pytest.mark.parametrize(
    "text, table, words",
    [
        ("name,kind\na,x\nb,y\n", {"file": "no.csv"}, ["dataset.table.file", "no.csv", "fakepics"]),
        ("name,kind\na,x\n", {"label": "breed"}, ["dataset.table.label", "'breed'", "name, kind"]),
        ("name,kind\na,x\n", {"image": "{id}"}, ["dataset.table.image", "'id'", "name, kind"]),
        ("name,kind\na,\nb,y\n", {}, ["dataset.table.label", "pics/a.jpg", "'kind'"]),
        ("name,kind\na,x\na,y\n", {}, ["dataset.table", "pics/a.jpg", "twice"]),
        ("name,kind\na,x\nb,x\n", {}, ["dataset.table.label", "only one class", "'x'"]),
        ("name,kind\n", {}, ["dataset.table.label", "no images"]),
        ("name,kind\nz,x\nb,y\n", {}, ["dataset.table.image", "leads to no file", "z.jpg"]),
        ("name,kind\n../a,x\nb,y\n", {}, ["dataset.table.image", "pics/../a.jpg", "outside"]),
        ("", {}, ["dataset.table.file", "labels.csv"]),
        ("name,kind\na,x,3\n", {}, ["dataset.table.file", "comma-separated"]),
        ("a,x\n", {"columns": ("name", "kind", "set")}, ["dataset.table.columns", "3", "2"]),
        (
            "name,kind\na,1\nb,high\n",
            {"threshold": config.Threshold(0.5, "low", "high")},
            ["dataset.table.threshold", "'high'"],
        ),
    ],
)
def test_table_mistakes_name_the_key(make_package, text, table, words):
    with pytest.raises(HeadstartError) as error:
        sources.list_images(make_package(text, **table))
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_csv_with_a_pattern(tmp_path, fill, make_dataset, mistake):
    fill(tmp_path, "train/a.jpg", "train/b.jpg")
    table = tmp_path / "labels.csv"
    table.write_text("id,breed\nb,pug\na,beagle\n")
    given = make_dataset("csv", path=str(tmp_path), table=IDS)
    listing = sources.list_images(given)
    assert listing["id"].tolist() == ["train/a.jpg", "train/b.jpg"]
    assert listing["label"].tolist() == ["beagle", "pug"]
    assert all(map(os.path.isfile, listing["path"]))
    assert sources.fetch(given, tmp_path / "downloads").table.equals(listing)

    seen = {sources.fingerprint(given)}
    os.utime(tmp_path / "train/a.jpg", ns=(1, 1))
    seen.add(sources.fingerprint(given))
    (tmp_path / "train/a.jpg").unlink()
    seen.add(sources.fingerprint(given))
    table.write_text("id,breed\nb,pug\na,hound\n")
    seen.add(sources.fingerprint(given))
    assert len(seen) == 4
    missing = make_dataset("csv", path="/no", table=IDS)
    assert "dataset.path" in mistake(sources.fingerprint, missing)


def test_table_in_an_archive_is_found(tmp_path, make_dataset, mistake):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("dogs/labels.csv", "id,breed\na,pug\nb,beagle\n")
        archive.writestr("dogs/train/a.jpg", "a")
    given = make_dataset("archive", address=str(tmp_path / "a.zip"), table=IDS)
    listing = sources.fetch(given, tmp_path / "d").table
    assert listing["id"].tolist() == ["train/a.jpg", "train/b.jpg"]
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("more/labels.csv", "")
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "dogs, more" in text and "dataset.folder" in text
    given = make_dataset("archive", address=str(tmp_path / "a.zip"), table=IDS | {"file": "no.csv"})
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "dataset.table.file: no.csv" in text and "dogs/ (1 folder), more/ (1 file)" in text


def test_joined_tables_with_an_official_split(tmp_path, cub):
    listing = sources.fetch(cub(CUB_TABLE), tmp_path / "d").table
    assert listing["id"][0] == "images/001.Albatross/A_1.jpg"
    assert listing["label"].tolist() == ["001.Albatross", "001.Albatross", "002.Wren"]
    assert listing["split"].tolist() == ["train", "test", "train"]


@pytest.mark.parametrize(
    "change, texts, words",
    [
        ({}, {"classes": "1 A\n"}, ["join[1]", "classes.txt", "'class'", "no row with 2"]),
        ({}, {"classes": "1 A\n2 B\n2 C\n"}, ["join[1]", "classes.txt", "2 twice in 'class'"]),
        ({}, {"classes": "1\n2\n"}, ["join[1].columns", "names 2 columns", "has 1"]),
        ({}, {"classes": ""}, ["join[1].file", "classes.txt"]),
        (
            {"join": [{"file": "classes.txt", "separator": "whitespace", "columns": ["a", "b"]}]},
            {},
            ["join[0]", "shares no column", "a, b against image, path"],
        ),
        ({"join": [{"file": "no.txt"}]}, {}, ["join[0].file", "no.txt"]),
        (
            {"part": {"column": "part", "values": {"1": "train"}}},
            {},
            ["part.column", "'part'", "images.txt and", "is_train"],
        ),
        (
            {"part": {"column": "is_train", "values": {"1": "train"}}},
            {},
            ["part.values", "'is_train'", "'0'"],
        ),
    ],
)
def test_join_mistakes_name_file_and_column(tmp_path, cub, mistake, change, texts, words):
    text = mistake(sources.fetch, cub(CUB_TABLE | change, **texts), tmp_path / "d")
    assert text.startswith("dataset.table.") and all(word in text for word in words), text


@pytest.fixture
def survey(tmp_path: Path, fill: Callable) -> Callable:
    """The listing and the notes of a table of this text, over pics/a.jpg and pics/b.jpg."""

    def make(text: str, extra: str | None = None, **settings):
        fill(tmp_path, "pics/a.jpg", "pics/b.jpg")
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        usual = {"image": "pics/{name}.jpg", "label": "kind"}
        table = config.Table("t.csv", "comma", None, threshold=None, **usual | settings)
        return tables.survey(tmp_path, table, extra)

    return make


def test_labels_are_what_they_look_like(survey):
    composed = "Käse"
    listing, notes = survey(
        f"name,kind\na, {unicodedata.normalize('NFD', composed)} \nb,{composed}\n"
    )
    assert listing["label"].tolist() == [composed, composed] and not notes


def test_a_named_column_holds_the_groups(survey):
    text = "name,kind,patient\na,x,17\nb,y, 18\n"
    assert survey(text, "patient")[0]["group"].tolist() == ["17", "18"]
    assert survey(text)[0].columns.tolist() == ["id", "path", "label", "split"]
    assert survey(text, r"(\w)\.jpg")[0].columns.tolist() == ["id", "path", "label", "split"]
    assert (survey(text, "patient")[0].dtypes == "str").all()


@pytest.mark.parametrize(
    "values, cells, parts",
    [
        ({"Train": "train", "test ": "test"}, ("train", "TEST"), ["train", "test"]),
        ({True: "test", False: "train"}, ("Yes", "no"), ["test", "train"]),
        ({True: "test", False: "train"}, ("1", "0"), ["test", "train"]),
        ({True: "test", False: "train"}, ("TRUE", "False"), ["test", "train"]),
        ({True: "test", "0": "val"}, ("on", "0"), ["test", "val"]),
        ({"1": "train", 0: "test"}, ("1", "0"), ["train", "test"]),
    ],
)
def test_parts_match_however_they_are_written(tmp_path, fill, make_dataset, values, cells, parts):
    fill(tmp_path, "a.jpg", "b.jpg")
    rows = f"file,kind,set\na.jpg,x,{cells[0]}\nb.jpg,y,{cells[1]}\n"
    (tmp_path / "t.csv").write_text(rows)
    part = {"column": "set", "values": values}
    table = {"file": "t.csv", "image": "{file}", "label": "kind", "part": part}
    dataset = make_dataset("csv", path=str(tmp_path), table=table)
    assert tables.survey(tmp_path, dataset.table)[0]["split"].tolist() == parts


def test_parts_that_cannot_be_told_apart_or_are_unknown(survey, mistake):
    text = "name,kind,set\na,x,Zug\nb,y,\n"
    part = config.Part("set", {"train": "train"})
    told = mistake(lambda: survey(text, part=part))
    assert "dataset.table.part.values" in told and "'Zug' and ''" in told and "only 'train'" in told
    part = config.Part("set", {"Zug": "train", "zug": "test"})
    told = mistake(lambda: survey(text, part=part))
    assert "dataset.table.part.values: 'zug' stands for test and for train" in told


@pytest.mark.parametrize(
    "text, words",
    [
        ("a.jpg,x\nb.jpg,y\n", ["dataset.table.columns: t.csv has no header", "'a.jpg'", "2 col"]),
        ("pics/a.jpg,0,0\npics/b.jpg,1,0\n", ["dataset.table.columns: t.csv", "'pics/a.jpg'"]),
        ("name,type\na,x\n", ["dataset.table.label", "'kind'", "name, type"]),
        ("name,kind\n,x\nb,y\n", ["dataset.table.image: row 1 of t.csv has no 'name'"]),
    ],
)
def test_a_missing_header_or_name_is_told(survey, mistake, text, words):
    told = mistake(lambda: survey(text))
    assert all(word in told for word in words), told


def test_a_column_may_be_called_like_an_image(survey):
    listing, _ = survey("name,kind,photo.jpg\na,x,1\n")
    assert listing["id"].tolist() == ["pics/a.jpg"]
