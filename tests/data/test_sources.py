"""Sources: what is listed, under which label and part, and how mistakes are told."""

import functools
import hashlib
import http.server
import os
import pickle
import shutil
import sys
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart import HeadstartError
from headstart.data import archives, sources
from headstart.experiment import config, loading


def folder(path: Path) -> config.Dataset:
    return config.Dataset("folder", path=str(path))


def fill(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def package(tmp_path: Path, monkeypatch, text: str, **table) -> config.Dataset:
    """A package of its own name on sys.path whose import would fail."""
    root = tmp_path / "fakepics"
    fill(root, "__init__.py", "pics/a.jpg", "one/b.jpg")
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
    return config.Dataset("package", package="fakepics", table=config.Table(**settings | table))


@pytest.fixture
def elpv() -> config.Dataset:
    return loading.load(Path(__file__).parents[2] / "config" / "config.yaml").dataset


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
def test_table_mistakes_name_the_key(tmp_path, monkeypatch, text, table, words):
    with pytest.raises(HeadstartError) as error:
        sources.list_images(package(tmp_path, monkeypatch, text, **table))
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_package_that_is_not_installed(elpv):
    missing = config.Dataset("package", package="no_such.pictures", table=elpv.table)
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


# Csv, archives and torchvision


def dataset(source: str, **settings) -> config.Dataset:
    """A dataset with the schema's defaults filled in."""
    head = {"init": "pretrained", "phases": [{"train": "head", "epochs": 1, "lr": 0.1}]}
    raw = {"experiment": "e", "dataset": {"source": source, **settings}, "strategies": {"h": head}}
    return loading.from_dict(raw).dataset


def packed(path: Path, *names: str, **texts: str) -> Path:
    """A zip of files; `texts` are the tables, by name without suffix."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
        for name, text in texts.items():
            archive.writestr(f"set/{name}.txt", text)
    return path


def mistake(call, *arguments) -> str:
    with pytest.raises(HeadstartError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


IDS = {"file": "labels.csv", "image": "train/{id}.jpg", "label": "breed"}


def test_csv_with_a_pattern(tmp_path):
    fill(tmp_path, "train/a.jpg", "train/b.jpg")
    table = tmp_path / "labels.csv"
    table.write_text("id,breed\nb,pug\na,beagle\n")
    given = dataset("csv", path=str(tmp_path), table=IDS)
    listing = sources.list_images(given)
    assert listing["id"].tolist() == ["train/a.jpg", "train/b.jpg"]
    assert listing["label"].tolist() == ["beagle", "pug"]
    assert all(map(os.path.isfile, listing["path"]))
    assert sources.fetch(given, tmp_path / "downloads").equals(listing)

    seen = {sources.fingerprint(given)}
    os.utime(tmp_path / "train/a.jpg", ns=(1, 1))
    seen.add(sources.fingerprint(given))
    (tmp_path / "train/a.jpg").unlink()
    seen.add(sources.fingerprint(given))
    table.write_text("id,breed\nb,pug\n")
    seen.add(sources.fingerprint(given))
    assert len(seen) == 4
    assert "dataset.path" in mistake(sources.fingerprint, dataset("csv", path="/no", table=IDS))


@pytest.mark.parametrize(
    "names",
    [
        ["cat/1.jpg", "dog/2.JPG"],
        ["set/cat/1.jpg", "set/dog/2.JPG", "set/README.md", "__MACOSX/set/cat/._1.jpg"],
        ["a/b/c/cat/1.jpg", "a/b/c/dog/2.JPG", "a/b/.DS_Store", "a/notes.txt", ".git/x.jpg"],
        ["set/images/cat/1.jpg", "set/images/dog/2.JPG", "set/notes/1.xml", "set/notes/cat/x.xml"],
        ["set/cat/1.jpg", "set/dog/2.JPG", "set/notes/1.xml"],
    ],
)
def test_classes_are_found_below_wrapping_folders(tmp_path, names):
    archive = packed(tmp_path / "a.zip", *names)
    listing = sources.fetch(dataset("archive", address=str(archive)), tmp_path / "d")
    assert listing["id"].tolist() == ["cat/1.jpg", "dog/2.JPG"]
    assert Path(listing["path"][0]).read_text().endswith("cat/1.jpg")


def test_parts_in_an_archive(tmp_path):
    names = ["set/train/cat/1.jpg", "set/train/dog/1.jpg", "set/val/cat/1.jpg", "set/doc/x.pdf"]
    given = dataset("archive", address=packed(tmp_path / "a.zip", *names).as_uri())
    listing = sources.fetch(given, tmp_path / "d")
    assert listing["split"].tolist() == ["train", "train", "val"]
    assert listing["id"][2] == "val/cat/1.jpg"


@pytest.mark.parametrize(
    "names, words",
    [
        (["x/cat/1.jpg", "x/dog/1.jpg", "y/cat/1.jpg"], ["x/ (2 folders)", "y/ (1 folder)"]),
        (["x/train/cat/1.jpg", "x/more/1.jpg"], ["more/ (1 file)", "train/ (1 folder)"]),
        (["x/cover.jpg", "x/y/cat/1.jpg", "x/y/dog/1.jpg"], ["cover.jpg", "y/ (2 folders)"]),
        (["x/1.jpg", "x/2.jpg"], ["only one class, 'x'"]),
        (["a.txt", *(f"{i}.csv" for i in range(9))], ["0.csv, 1.csv", "and 2 more"]),
    ],
)
def test_archives_that_are_ambiguous_list_what_was_found(tmp_path, names, words):
    given = dataset("archive", address=str(packed(tmp_path / "a.zip", *names)))
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert all(word in text for word in words), text
    assert "dataset.folder" in text or "one class" in text


def test_folder_inside_the_archive(tmp_path):
    names = ["x/cat/1.jpg", "x/dog/1.jpg", "y/cat/1.jpg", "y/deep/er/1.jpg"]
    address = str(packed(tmp_path / "a.zip", *names))
    fetch = functools.partial(sources.fetch, folder=tmp_path / "d")
    assert len(fetch(dataset("archive", address=address, folder="x"))) == 2
    assert len(fetch(dataset("archive", address=address, folder="./y/"))) == 2
    assert set(fetch(dataset("archive", address=address, folder="."))["label"]) == {"x", "y"}
    text = mistake(fetch, dataset("archive", address=address, folder="z"))
    assert all(word in text for word in ["dataset.folder", "'z'", "x/ (2 folders)"])
    for folder in ("../x", "/etc", "x/../.."):
        given = dataset("archive", address=address, folder=folder)
        assert "dataset.folder" in mistake(fetch, given)
        assert "dataset.folder" in mistake(sources.fingerprint, given)


def test_table_in_an_archive_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("dogs/labels.csv", "id,breed\na,pug\nb,beagle\n")
        archive.writestr("dogs/train/a.jpg", "a")
    given = dataset("archive", address=str(tmp_path / "a.zip"), table=IDS)
    assert sources.fetch(given, tmp_path / "d")["id"].tolist() == ["train/a.jpg", "train/b.jpg"]
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("more/labels.csv", "")
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "dogs, more" in text and "dataset.folder" in text
    given = dataset("archive", address=str(tmp_path / "a.zip"), table=IDS | {"file": "no.csv"})
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "dataset.table.file: no.csv" in text and "dogs/ (1 folder), more/ (1 file)" in text


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


def cub(tmp_path: Path, table: dict, **texts: str) -> config.Dataset:
    archive = packed(tmp_path / "cub.zip", "set/images/001.Albatross/A_1.jpg", **CUB | texts)
    return dataset("archive", address=str(archive), table=table)


def test_joined_tables_with_an_official_split(tmp_path):
    listing = sources.fetch(cub(tmp_path, CUB_TABLE), tmp_path / "d")
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
def test_join_mistakes_name_file_and_column(tmp_path, change, texts, words):
    text = mistake(sources.fetch, cub(tmp_path, CUB_TABLE | change, **texts), tmp_path / "d")
    assert text.startswith("dataset.table.") and all(word in text for word in words), text


def test_chinese_classes_zipped_on_windows(tmp_path):
    classes = {"苹果": "0" * 4, "火龙果": "1" * 6}
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for stand_in in classes.values():
            archive.writestr(f"{stand_in}/1.jpg", b"data")
    data = path.read_bytes()
    for name, stand_in in classes.items():
        data = data.replace(f"{stand_in}/1.jpg".encode(), f"{name}/1.jpg".encode("gbk"))
    path.write_bytes(data)
    listing = sources.fetch(dataset("archive", address=str(path)), tmp_path / "d")
    assert set(listing["label"]) == set(classes)


@pytest.fixture
def served(tmp_path):
    """A folder, and the address under which a server of ours offers it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_archive_is_fetched_and_unpacked_once(tmp_path, served):
    folder, address = served
    archive = packed(folder / "a.zip", "cat/1.jpg", "dog/1.jpg")
    digest = hashlib.sha1(archive.read_bytes()).hexdigest()
    given = dataset("archive", address=f"{address}/a.zip", hash=digest)
    mark = sources.fingerprint(given)
    listing = sources.fetch(given, tmp_path / "d")
    archive.unlink()
    for path in (tmp_path / "d").glob("*/a.zip"):
        path.unlink()
    assert sources.fetch(given, tmp_path / "d").equals(listing)
    assert sources.fingerprint(given) == mark
    other = dataset("archive", address=f"{address}/a.zip", hash="0" * 40)
    assert sources.fingerprint(other) != mark
    assert "status 404" in mistake(sources.fetch, other, tmp_path / "d")


def test_jobs_at_the_same_time_unpack_once(tmp_path, monkeypatch):
    given = dataset("archive", address=str(packed(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg")))
    unpacked, extract = [], archives.extract

    def slowly(archive, target):
        unpacked.append(target)
        time.sleep(0.1)
        extract(archive, target)

    monkeypatch.setattr(archives, "extract", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sources.fetch(given, tmp_path / "d"), range(4)))
    assert len(unpacked) == 1 and all(listing.equals(found[0]) for listing in found)


def test_a_first_download_that_is_no_archive_is_not_trusted(tmp_path, served):
    folder, address = served
    (folder / "a.zip").write_text("<html>Log in</html>")
    given = dataset("archive", address=f"{address}/a.zip")
    assert "neither a zip nor a tar" in mistake(sources.fetch, given, tmp_path / "d")
    packed(folder / "a.zip", "cat/1.jpg", "dog/1.jpg")
    assert len(sources.fetch(given, tmp_path / "d")) == 2


def test_a_local_archive_that_changes_is_unpacked_anew(tmp_path):
    given = dataset("archive", address=str(tmp_path / "a.zip"))
    assert "does not exist" in mistake(sources.check_address, given)
    packed(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg")
    mark = sources.fingerprint(given)
    assert len(sources.fetch(given, tmp_path / "d")) == 2
    packed(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    assert sources.fingerprint(given) != mark
    assert len(sources.fetch(given, tmp_path / "d")) == 3


@pytest.fixture
def cifar(served, tmp_path, monkeypatch):
    """CIFAR-10 in its real format, of four training images and two of test."""
    from torchvision.datasets import CIFAR10

    folder, address = served
    made = tmp_path / "made" / CIFAR10.base_folder
    made.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    digests = {}

    def dump(name, content):
        (made / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((made / name).read_bytes()).hexdigest()

    dump("data_batch_1", {"data": pixels[:2], "labels": [1, 0]})
    dump("data_batch_2", {"data": pixels[2:4], "labels": [1, 1]})
    dump("test_batch", {"data": pixels[4:], "labels": [0, 1]})
    dump("batches.meta", {"label_names": ["airplane", "automobile"]})
    with tarfile.open(folder / CIFAR10.filename, "w:gz") as archive:
        archive.add(made, CIFAR10.base_folder)
    md5 = hashlib.md5((folder / CIFAR10.filename).read_bytes()).hexdigest()
    batches = [[name, digests[name]] for name in ("data_batch_1", "data_batch_2")]
    monkeypatch.setattr(CIFAR10, "url", f"{address}/{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(CIFAR10, "train_list", batches)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": digests["batches.meta"]})
    return folder / CIFAR10.filename, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_torchvision_writes_png_files_once(tmp_path, cifar):
    archive, pixels = cifar
    given = dataset("torchvision", name="CIFAR10")
    listing = sources.fetch(given, tmp_path / "d")
    assert dict(zip(listing["id"], listing["split"], strict=True)) == {
        "test/airplane/00000.png": "test",
        "test/automobile/00001.png": "test",
        "train/airplane/00001.png": "train",
        "train/automobile/00000.png": "train",
        "train/automobile/00002.png": "train",
        "train/automobile/00003.png": "train",
    }
    with Image.open(listing["path"][3]) as image:
        assert np.array_equal(np.asarray(image), pixels[0])
    archive.unlink()
    assert sources.fetch(given, tmp_path / "d").equals(listing)
    assert not [path for path in (tmp_path / "d").rglob("*batch*")]


def test_torchvision_from_another_address(tmp_path, cifar):
    archive, _ = cifar
    mine = tmp_path / "mine.tar.gz"
    shutil.copy(archive, mine)
    given = dataset("torchvision", name="CIFAR10", address=str(mine))
    assert len(sources.fetch(given, tmp_path / "d")) == 6
    mark = sources.fingerprint(given)
    mine.write_bytes(b"other")
    assert sources.fingerprint(given) != mark
    given = dataset("torchvision", name="CIFAR10", address=mine.as_uri())
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "mine.tar.gz has md5:" in text and "expected md5:" in text


def test_torchvision_checks_each_file(tmp_path, cifar, monkeypatch):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", "0" * 32]])
    text = mistake(sources.fetch, dataset("torchvision", name="CIFAR10"), tmp_path / "d")
    assert "not the CIFAR10 that torchvision knows" in text
    assert [p.name for p in (tmp_path / "d").glob("*/*")] in (
        ["lock", "cifar-10-python.tar.gz"],
        ["cifar-10-python.tar.gz", "lock"],
    )


def test_fingerprint_needs_no_network_and_no_torch(tmp_path):
    seen = {
        sources.fingerprint(dataset("torchvision", name="CIFAR10")),
        sources.fingerprint(dataset("torchvision", name="CIFAR100")),
        sources.fingerprint(dataset("archive", address="http://no-such-host.invalid/a.zip")),
    }
    assert len(seen) == 3


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"source": "archive"}, ["dataset.address is missing"]),
        ({"source": "archive", "address": "a", "path": "b"}, ["dataset.path is not", "address"]),
        ({"source": "archive", "address": "a", "hash": 1}, ["dataset.hash is 1"]),
        ({"source": "csv", "path": "a"}, ["dataset.table is missing"]),
        ({"source": "csv", "path": "a", "table": IDS, "hash": "b"}, ["dataset.hash is not"]),
        ({"source": "torchvision"}, ["dataset.name is missing"]),
        ({"source": "torchvision", "name": "MNIST"}, ["'MNIST'", "CIFAR10 or CIFAR100"]),
        ({"source": "torchvision", "name": "CIFAR10", "hash": "b"}, ["dataset.hash is not"]),
        ({"source": "web"}, ["'web'", "archive or torchvision"]),
        (
            {"source": "csv", "path": "a", "table": IDS | {"join": [{"file": "b", "on": "c"}]}},
            ["dataset.table.join[0].on is not", "columns, file, separator"],
        ),
        (
            {
                "source": "csv",
                "path": "a",
                "table": IDS | {"part": {"column": "b", "values": {1: "training"}}},
            },
            ["dataset.table.part.values.1 is 'training'", "train or val or test"],
        ),
    ],
)
def test_config_mistakes_are_one_line(settings, words):
    text = mistake(lambda: dataset(**settings))
    assert all(word in text for word in words), text
