"""Image paths: the files that a table's paths mean, from whatever machine they come."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from headstart.data import imagepaths
from headstart.experiment import config

KEY = "dataset.table.image: "


@pytest.fixture
def root(tmp_path: Path, fill: Callable) -> Path:
    return fill(tmp_path / "set", "pics/a.jpg", "pics/b.JPG", "pics/deep/c.png", "d.jpg")


def find(root: Path, *paths: str, image: str = "{path}") -> tuple[list[str], list[str]]:
    table = config.Table("t.csv", "comma", None, image, "kind", None)
    found, notes = imagepaths.find(pd.Series(paths, dtype="str"), root, table)
    assert found.dtype == "str"
    return found.tolist(), notes


@pytest.mark.parametrize(
    "path, found",
    [
        ("pics/a.jpg", "pics/a.jpg"),
        (r"pics\deep\c.png", "pics/deep/c.png"),
        ("./pics//deep/./c.png", "pics/deep/c.png"),
        (r".\d.jpg", "d.jpg"),
    ],
)
def test_a_path_is_written_in_one_way(root, path, found):
    assert find(root, path) == ([found], [])


@pytest.mark.parametrize("given", ["absolute", "relative", "linked"])
def test_absolute_paths_below_the_source_become_relative(root, monkeypatch, given):
    monkeypatch.chdir(root.parent)
    (root.parent / "link").symlink_to(root)
    place = {"absolute": root, "relative": Path("set"), "linked": Path("link")}[given]
    assert find(place, f"{root}/pics/a.jpg", "d.jpg") == (["pics/a.jpg", "d.jpg"], [])


@pytest.mark.parametrize(
    "start, dropped",
    [
        ("/home/bob/data/set/", "/home/bob/data/set/"),
        ("/", "/"),
        ("C:\\Users\\Bob\\set\\", "C:/Users/Bob/set/"),
        (r"\\server\share\set" + "\\", "/server/share/set/"),
    ],
)
def test_absolute_paths_of_another_machine_lose_what_is_not_here(root, start, dropped):
    paths = [start + path for path in ("pics/a.jpg", "pics/deep/c.png")]
    found, (note,) = find(root, *paths)
    assert found == ["pics/a.jpg", "pics/deep/c.png"]
    assert note == f"t.csv lists absolute paths; {dropped!r} was dropped from them"


def test_the_part_dropped_may_be_only_some_of_what_all_share(root):
    found, (note,) = find(root, "/data/set/pics/a.jpg", "/data/set/pics/b.JPG")
    assert found == ["pics/a.jpg", "pics/b.JPG"] and "'/data/set/'" in note


def test_absolute_paths_without_ending_are_found_too(root):
    found, notes = find(root, "/data/pics/a", "/data/pics/b")
    assert found == ["pics/a.jpg", "pics/b.JPG"] and len(notes) == 2


def test_absolute_paths_that_lead_nowhere_name_the_cause(root, mistake):
    told = mistake(find, root, "/home/bob/pics/z.jpg", "/home/bob/pics/y.jpg")
    assert told.startswith(f"{KEY}t.csv lists '/home/bob/pics/z.jpg', an absolute path that is not")
    assert f"it leads to no file of {root}; list paths below it" in told

    told = mistake(find, root, "/home/bob/pics/a.jpg", "/home/bob/pics/y.jpg", "/home/bob/z.jpg")
    assert told.startswith(f"{KEY}t.csv lists absolute paths")
    assert "without '/home/bob/', but not 'pics/y.jpg' and 1 more" in told

    other = root.parent / "other.jpg"
    other.touch()
    told = mistake(find, root, str(other))
    assert (
        told == f"{KEY}t.csv lists {str(other)!r}, which is outside of {root}; list paths below it"
    )


@pytest.mark.parametrize("path", ["../other.jpg", "pics/../../other.jpg", r"..\other.jpg"])
def test_no_path_leads_out(root, mistake, path):
    (root.parent / "other.jpg").touch()
    assert "which is outside of" in mistake(find, root, path)
    assert "which is outside of" in mistake(find, root, f"{root}/{path}")


def test_a_missing_ending_is_added(root, fill):
    fill(root, "pics/scan.1.jpg", "pics/a.txt", "pics/e")
    found, (note,) = find(root, "pics/a", "pics/scan.1", "pics/e", "d.jpg")
    assert found == ["pics/a.jpg", "pics/scan.1.jpg", "pics/e", "d.jpg"]
    assert note == "t.csv names 2 images without ending; .jpg was added"


def test_endings_may_differ_from_row_to_row(root):
    found, (note,) = find(root, "pics/a", "pics/b", "pics/deep/c")
    assert found == ["pics/a.jpg", "pics/b.JPG", "pics/deep/c.png"]
    assert note == "t.csv names 3 images without ending; .JPG or .jpg or .png was added"


def test_the_ending_that_all_rows_have_goes_before_others(root, fill, mistake):
    fill(root, "pics/a.png", "e/f.png", "e/f.jpg")
    assert find(root, "pics/a", "pics/b")[0] == ["pics/a.jpg", "pics/b.JPG"]
    told = mistake(find, root, "pics/a", "e/f")
    assert told.startswith(
        f"{KEY}'pics/a' of t.csv may be 'pics/a.jpg' or 'pics/a.png'; end the pattern"
    )


def test_rows_without_file_are_counted_and_the_first_is_named(root):
    found, (note,) = find(root, "pics/a.jpg", "pics/y.jpg", "no/z.jpg", "pics/deep")
    assert found == ["pics/a.jpg", "pics/y.jpg", "no/z.jpg", "pics/deep"]
    assert note == "t.csv: 3 of 4 rows have no file, such as pics/y.jpg"
    assert find(root, "d.jpg", "e.jpg")[1] == ["t.csv: 1 of 2 rows has no file: e.jpg"]


def test_links_are_files_if_they_lead_to_one(root):
    (root / "good.jpg").symlink_to("d.jpg")
    (root / "dangling.jpg").symlink_to("gone.jpg")
    (root / "circle.jpg").symlink_to("circle.jpg")
    _, (note,) = find(root, "good.jpg", "dangling.jpg", "circle.jpg")
    assert "2 of 3 rows have no file, such as dangling.jpg" in note


def test_a_pattern_that_leads_to_no_file_is_told(root, mistake):
    told = mistake(lambda: find(root, "images/a.jpg", image="images/{id}.jpg"))
    assert told == (
        f"{KEY}'images/{{id}}.jpg' leads to no file, {root}/images/a.jpg is not there; "
        "correct the pattern"
    )
    assert find(root) == ([], [])


def test_a_folder_is_listed_once_however_many_rows_there_are(tmp_path, fill, monkeypatch):
    fill(tmp_path, *(f"{number % 7}/{number}.jpg" for number in range(300)))
    paths = [rf"C:\deep\er\{number % 7}\{number}" for number in range(300)] * 20
    listed = []
    scan = os.scandir

    def counted(folder):
        listed.append(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", counted)
    assert find(tmp_path, *paths)[0][0] == "0/0.jpg"
    assert len(listed) < 30
