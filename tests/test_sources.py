"""Sources: what is listed, under which label and part, and how mistakes are told."""

import os
import sys
from pathlib import Path

import pytest

from headstart import HeadstartError, config
from headstart.data import sources

SPLIT = config.Split("auto", "auto", 0)


def folder(path: Path) -> config.Dataset:
    return config.Dataset("folder", SPLIT, path=str(path))


def fill(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def package(tmp_path: Path, monkeypatch, text: str, **table) -> config.Dataset:
    """A package of its own name on sys.path whose import would fail."""
    root = tmp_path / "fakepics"
    fill(root, "__init__.py")
    (root / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "labels.csv").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    settings = {
        "file": "labels.csv",
        "separator": "comma",
        "columns": None,
        "image": "pics/{name}.jpg",
        "label": "kind",
        "threshold": None,
    }
    return config.Dataset(
        "package", SPLIT, package="fakepics", table=config.Table(**settings | table)
    )


@pytest.fixture
def elpv() -> config.Dataset:
    return config.load(Path(__file__).parent.parent / "config" / "config.yaml").dataset


def test_elpv_lists_without_importing_the_package(elpv):
    listing = sources.list_images(elpv)
    assert listing.columns.tolist() == ["id", "path", "label", "split"]
    assert listing["label"].value_counts().to_dict() == {"functional": 1803, "defective": 821}
    assert listing["id"][0] == "data/images/cell0001.png"
    assert all(map(os.path.isfile, listing["path"]))
    assert set(listing["split"]) == {""}
    assert "elpv_dataset" not in sys.modules
    assert sources.fingerprint(elpv) == sources.fingerprint(elpv)


def test_package_table_with_header_and_pattern(tmp_path, monkeypatch):
    dataset = package(
        tmp_path,
        monkeypatch,
        "\ufeffname,kind,set\nb,dog,one\n a ,NA,two\n",
        image="{set}/{name}.jpg",
    )
    listing = sources.list_images(dataset)
    assert listing["id"].tolist() == ["one/b.jpg", "two/a.jpg"]
    assert listing["label"].tolist() == ["dog", "NA"]
    assert listing["path"][0] == str(tmp_path / "fakepics" / "one" / "b.jpg")


def test_package_without_distribution_is_fingerprinted_by_its_files(tmp_path, monkeypatch):
    dataset = package(tmp_path, monkeypatch, "name,kind\na,x\nb,y\n")
    before = sources.fingerprint(dataset)
    fill(tmp_path / "fakepics", "pics/new.jpg")
    assert sources.fingerprint(dataset) != before


@pytest.mark.parametrize(
    "separator, mark", [("tab", "\t"), ("semicolon", ";"), ("whitespace", "  ")]
)
def test_threshold_begins_the_second_class(tmp_path, monkeypatch, separator, mark):
    rows = [("a", "0.4999"), ("b", "0.5"), ("c", "1")]
    dataset = package(
        tmp_path,
        monkeypatch,
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
def test_table_mistakes_name_the_key(tmp_path, monkeypatch, text, table, words):
    with pytest.raises(HeadstartError) as error:
        sources.list_images(package(tmp_path, monkeypatch, text, **table))
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_package_that_is_not_installed(elpv):
    missing = config.Dataset("package", SPLIT, package="no_such.pictures", table=elpv.table)
    for call in (sources.list_images, sources.fingerprint):
        with pytest.raises(HeadstartError, match=r"dataset\.package: .*'no_such\.pictures'"):
            call(missing)


def test_class_folders_take_every_visible_file(tmp_path):
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


def test_paths_open_from_the_working_directory(tmp_path, monkeypatch):
    fill(tmp_path, "d/a/1.jpg", "d/b/1.jpg")
    monkeypatch.chdir(tmp_path / "d")
    assert sources.list_images(folder(Path("../d/")))["id"].tolist() == ["a/1.jpg", "b/1.jpg"]
    here = sources.list_images(folder(Path(".")))
    assert here["id"].tolist() == ["a/1.jpg", "b/1.jpg"]
    assert all(map(os.path.isfile, here["path"]))


def test_part_folders_give_the_split(tmp_path):
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


def test_links_are_followed_but_never_round(tmp_path):
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
def test_folder_mistakes_say_what_was_found(tmp_path, files, words):
    fill(tmp_path, *files)
    with pytest.raises(HeadstartError) as error:
        sources.list_images(folder(tmp_path))
    assert all(word in str(error.value) for word in ["dataset.path", str(tmp_path), *words]), (
        error.value
    )


def test_folder_that_is_not_there(tmp_path):
    fill(tmp_path, "file.zip")
    for call in (sources.list_images, sources.fingerprint):
        with pytest.raises(HeadstartError, match=r"dataset\.path: .*nope does not exist"):
            call(folder(tmp_path / "nope"))
    with pytest.raises(HeadstartError, match=r"dataset\.path: .*file\.zip is a file"):
        sources.list_images(folder(tmp_path / "file.zip"))


def test_file_name_that_is_no_text(tmp_path):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    with open(os.fsencode(tmp_path) + b"/a/\xff.jpg", "wb"):
        pass
    with pytest.raises(HeadstartError, match=r"dataset\.path: .*xff\.jpg.*UTF-8"):
        sources.list_images(folder(tmp_path))


def test_fingerprint_sees_added_removed_and_modified_files(tmp_path):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    seen = [sources.fingerprint(folder(tmp_path))]
    assert sources.fingerprint(folder(tmp_path)) == seen[0]
    extra = tmp_path / "a" / "2.jpg"
    extra.write_bytes(b"x")
    seen.append(sources.fingerprint(folder(tmp_path)))
    os.utime(extra, ns=(1, 1))
    seen.append(sources.fingerprint(folder(tmp_path)))
    extra.rename(tmp_path / "a" / "3.jpg")
    seen.append(sources.fingerprint(folder(tmp_path)))
    assert len(set(seen)) == 4
    (tmp_path / "a" / "3.jpg").unlink()
    assert sources.fingerprint(folder(tmp_path)) == seen[0]
