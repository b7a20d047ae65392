"""Patterns: what dataset.include and dataset.exclude leave, in each kind of source."""

import os
import unicodedata

import pytest
import yaml

from headstart.data import patterns, sources
from headstart.experiment import config

PATHS = [
    *("cat/1.jpg", "cat/1_mask.png", "cat/thumbs/1.jpg", "dog/1.jpg", "dog/2.JPG"),
    *("dog/thumbs/deep/1.jpg", "bird/1.tiff"),
]


def folder(path, **settings) -> config.Dataset:
    return config.Dataset("folder", path=str(path), **settings)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"exclude": ["*_mask.png", "thumbs/"]}, ["bird/1.tiff", *PATHS[0:1], *PATHS[3:5]]),
        ({"exclude": ["/bird/", "/cat/thumbs/"]}, [*PATHS[:2], *PATHS[3:6]]),
        ({"include": ["*.jpg"]}, ["cat/1.jpg", "cat/thumbs/1.jpg", "dog/1.jpg", PATHS[5]]),
        ({"include": ["/cat/", "/dog/"], "exclude": ["thumbs"]}, [*PATHS[:2], *PATHS[3:5]]),
        ({"include": ["*.jpg", "*.tiff", "!/dog/1.jpg"]}, [*PATHS[:3:2], *PATHS[5:]]),
        ({"exclude": ["dog/*", "!dog/2.JPG", "/bird"]}, [*PATHS[:3], PATHS[4]]),
    ],
)
def test_a_folder_is_left_with_what_counts(tmp_path, fill, make_dataset, settings, expected):
    fill(tmp_path, *PATHS)
    given = make_dataset("folder", path=str(tmp_path), **settings)
    assert sources.list_images(given)["id"].tolist() == sorted(expected)


def test_a_class_that_patterns_empty_is_told(tmp_path, fill):
    fill(tmp_path, *PATHS)
    survey = sources.survey(folder(tmp_path, include=("*.jpg",)))
    assert "passed over, as no image in it counts: 'bird'" in survey.notes
    survey = sources.survey(folder(tmp_path, exclude=("/bird/",)))
    assert not [note for note in survey.notes if "bird" in note]


def test_an_empty_class_folder_stays_a_mistake(tmp_path, fill, mistake):
    fill(tmp_path, *PATHS, "fish/.keep")
    text = mistake(sources.survey, folder(tmp_path, exclude=("*.png",)))
    assert "class folder" in text and "fish holds no files" in text


def test_parts_can_be_left_out(tmp_path, fill):
    fill(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "more/1.jpg")
    listing = sources.list_images(folder(tmp_path, exclude=("/test/", "/more/")))
    assert listing["id"].tolist() == ["train/a/1.jpg", "train/b/1.jpg"]
    listing = sources.list_images(folder(tmp_path, include=("/train/",)))
    assert listing["id"].tolist() == ["train/a/1.jpg", "train/b/1.jpg"]


def test_patterns_look_at_composed_names(tmp_path, fill):
    name = unicodedata.normalize("NFD", "Käse")
    fill(tmp_path, f"{name}/1.jpg", "a/1.jpg", "b/1.jpg")
    for text in ("/Käse/", unicodedata.normalize("NFD", "/Käse/")):
        listing = sources.list_images(folder(tmp_path, exclude=(text,)))
        assert set(listing["label"]) == {"a", "b"}


@pytest.mark.parametrize("name", ["a b", "#1", "!x", "a*", "[cat]", "q?", "back\\slash", "käse"])
def test_the_pattern_of_a_folder_is_that_of_this_folder_alone(tmp_path, name):
    given = patterns.of(folder(tmp_path, exclude=(patterns.folder(name),)))
    assert not given.take_folder(name) and given.take_folder(f"a/{name}")
    assert given.take_folder("cat") and given.take_folder("aXb") and not given.take(f"{name}/1")


def test_patterns_of_folders_as_yaml():
    folders = ["it's", "a b"]
    assert yaml.safe_load(patterns.listed(folders)) == [patterns.folder(name) for name in folders]


@pytest.mark.parametrize("key", ["include", "exclude"])
@pytest.mark.parametrize("line", ["#comment", "!", "/", "[", " ", "a\\"])
def test_a_pattern_that_is_none(tmp_path, fill, mistake, key, line):
    fill(tmp_path, *PATHS)
    text = mistake(sources.survey, folder(tmp_path, **{key: (line,)}))
    assert text.startswith(f"dataset.{key}[0]: {line!r} is no pattern")


@pytest.mark.parametrize(
    "settings, keys",
    [
        ({"exclude": ("*",)}, "dataset.exclude:"),
        ({"exclude": ("*", "!cat/", "!dog/")}, "dataset.exclude:"),
        ({"include": ("*.bmp",)}, "dataset.include:"),
        ({"include": ("*.tiff",), "exclude": ("bird",)}, "dataset.include and dataset.exclude:"),
    ],
)
def test_patterns_that_leave_nothing_are_one_line(
    tmp_path, fill, make_dataset, pack, mistake, settings, keys
):
    fill(tmp_path, *PATHS)
    for call in (sources.survey, sources.fingerprint):
        text = mistake(call, folder(tmp_path, **settings))
        assert text.startswith(f"{keys} nothing is left") and str(tmp_path) in text
    packed = pack(tmp_path / "a.zip", *PATHS)
    given = config.Dataset("archive", address=str(packed), **settings)
    assert mistake(sources.fetch, given, tmp_path / "d").startswith(f"{keys} nothing is left")


def test_patterns_in_an_archive_start_from_the_folder_of_the_classes(tmp_path, pack, mistake):
    names = ["set/train/a/1.jpg", "set/train/b/1.jpg", "set/train/b/1.png", "set/more/1.jpg"]
    address = str(pack(tmp_path / "a.zip", *names))
    text = mistake(sources.fetch, config.Dataset("archive", address=address), tmp_path / "d")
    assert "does not tell" in text and "dataset.exclude" in text
    given = config.Dataset("archive", address=address, exclude=("/more/", "*.png"))
    listing = sources.fetch(given, tmp_path / "d").table
    assert listing["id"].tolist() == ["train/a/1.jpg", "train/b/1.jpg"]


@pytest.fixture
def table(tmp_path, fill, make_dataset):
    """A csv source of three images, two of them in a folder."""
    fill(tmp_path, "x/a.jpg", "x/b.jpg", "c.png")
    (tmp_path / "t.csv").write_text("file,kind\nx/a.jpg,p\nx/b.jpg,q\nc.png,q\n")
    columns = {"file": "t.csv", "image": "{file}", "label": "kind"}
    return lambda **settings: make_dataset("csv", path=str(tmp_path), table=columns, **settings)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"exclude": ["*.png"]}, ["x/a.jpg", "x/b.jpg"]),
        ({"include": ["x/"]}, ["x/a.jpg", "x/b.jpg"]),
        ({"exclude": ["/x/b.jpg"]}, ["c.png", "x/a.jpg"]),
    ],
)
def test_rows_of_a_table_are_left_out(table, settings, expected):
    listing = sources.list_images(table(**settings))
    assert listing["id"].tolist() == expected and listing.index.tolist() == [0, 1]


def test_a_table_of_which_patterns_leave_too_little(table, mistake):
    text = mistake(sources.survey, table(exclude=["*"]))
    assert text.startswith("dataset.exclude: no row of t.csv is left")
    assert "only one class, 'q'" in mistake(sources.survey, table(exclude=["a.jpg"]))
    text = mistake(sources.survey, table(exclude=["x", "!x/a.jpg", "!x/b.jpg"]))
    assert "only one class, 'q'" in text


def test_the_fingerprint_sees_what_counts_and_nothing_else(tmp_path, fill, table):
    marks = {sources.fingerprint(table()), sources.fingerprint(table(exclude=["*.png"]))}
    os.utime(tmp_path / "c.png", ns=(1, 1))
    assert sources.fingerprint(table(exclude=["*.png"])) in marks
    assert sources.fingerprint(table()) not in marks

    fill(tmp_path / "f", *PATHS)
    given = folder(tmp_path / "f", exclude=("thumbs/", "/bird/"))
    mark = sources.fingerprint(given)
    fill(tmp_path / "f", "cat/thumbs/2.jpg", "bird/2.tiff")
    assert sources.fingerprint(given) == mark
    fill(tmp_path / "f", "cat/2.jpg")
    assert sources.fingerprint(given) != mark
