"""Folders: classes and parts by name, links followed, and how mistakes are told."""

import os
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.data import sources
from headstart.experiment import config


def folder(path: Path) -> config.Dataset:
    return config.Dataset("folder", path=str(path))


def test_class_folders_take_every_visible_file(tmp_path, fill):
    fill(
        tmp_path,
        "Käse 🧀/b.jpg",
        "Käse 🧀/deep/er/a.png",
        "NA/notes.txt",
        "NA/.hidden.jpg",
        "NA/Thumbs.db",
        ".git/x.jpg",
        "__MACOSX/c/x.jpg",
        "README.md",
    )
    listing = sources.list_images(folder(tmp_path))
    assert listing["id"].tolist() == ["Käse 🧀/b.jpg", "Käse 🧀/deep/er/a.png", "NA/notes.txt"]
    assert listing["label"].tolist() == ["Käse 🧀", "Käse 🧀", "NA"]
    assert set(listing["split"]) == {""}
    assert Path(listing["path"][1]).read_text() == "Käse 🧀/deep/er/a.png"


def test_paths_open_from_the_working_directory(tmp_path, monkeypatch, fill):
    fill(tmp_path, "d/a/1.jpg", "d/b/1.jpg")
    monkeypatch.chdir(tmp_path / "d")
    assert sources.list_images(folder(Path("../d/")))["id"].tolist() == ["a/1.jpg", "b/1.jpg"]
    here = sources.list_images(folder(Path(".")))
    assert here["id"].tolist() == ["a/1.jpg", "b/1.jpg"]
    assert all(map(os.path.isfile, here["path"]))


def test_part_folders_give_the_split(tmp_path, fill):
    fill(tmp_path, "Train/a/1.jpg", "Train/b/1.jpg", "valid/a/1.jpg", "test/b/1.jpg")
    listing = sources.list_images(folder(tmp_path))
    assert listing["id"].tolist() == sorted(listing["id"])
    assert dict(zip(listing["id"], listing["split"], strict=True)) == {
        "Train/a/1.jpg": "Train",
        "Train/b/1.jpg": "Train",
        "valid/a/1.jpg": "valid",
        "test/b/1.jpg": "test",
    }
    assert set(listing["label"]) == {"a", "b"}


def test_links_are_followed_but_never_round(tmp_path, fill):
    fill(tmp_path, "data/a/1.jpg", "data/b/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "data/a/loop").symlink_to(tmp_path / "data/a")
    (tmp_path / "data/a/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/b/far").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/b/self").symlink_to("self")
    (tmp_path / "data/b/gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(tmp_path / "data/b/pipe")
    listing = sources.list_images(folder(tmp_path / "data"))
    expected = ["a/1.jpg", "b/1.jpg", "b/far/2.jpg", "b/gone.jpg", "b/self"]
    assert listing["id"].tolist() == expected
    assert sources.fingerprint(folder(tmp_path / "data"))


@pytest.mark.parametrize(
    "files, words",
    [
        (["1.jpg", "2.jpg"], ["no class subfolders", "2 files", "CLASS/IMAGE"]),
        (["train/1.jpg"], ["train", "no class subfolders", "1 file;"]),
        (["train/a/1.jpg", "cats/1.jpg"], ["ambiguous", "'train'", "'cats'"]),
        (["a/1.jpg"], ["only one class", "'a'"]),
        (["train/a/1.jpg", "test/a/1.jpg"], ["only one class", "'a'"]),
        (["images/a/1.jpg", "images/b/1.jpg"], ["only one class", "images, which has subfolders"]),
        (["a/1.jpg", "b/.keep"], ["class folder", "b holds no files"]),
    ],
)
def test_folder_mistakes_say_what_was_found(tmp_path, fill, files, words):
    fill(tmp_path, *files)
    with pytest.raises(HeadstartError) as error:
        sources.list_images(folder(tmp_path))
    assert all(word in str(error.value) for word in ["dataset.path", str(tmp_path), *words]), (
        error.value
    )


def test_folder_that_is_not_there(tmp_path, fill):
    fill(tmp_path, "file.zip")
    for call in (sources.list_images, sources.fingerprint):
        with pytest.raises(HeadstartError, match=r"dataset\.path: .*nope does not exist"):
            call(folder(tmp_path / "nope"))
    with pytest.raises(HeadstartError, match=r"dataset\.path: .*file\.zip is a file"):
        sources.list_images(folder(tmp_path / "file.zip"))


def test_file_name_that_is_no_text(tmp_path, fill):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    with open(os.fsencode(tmp_path) + b"/a/\xff.jpg", "wb"):
        pass
    with pytest.raises(HeadstartError, match=r"dataset\.path: .*xff\.jpg.*UTF-8"):
        sources.list_images(folder(tmp_path))
