"""Archives as sources: fetched and unpacked once, the classes found wherever they are."""

import hashlib
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headstart.data import archives, manifest, sources


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
def test_classes_are_found_below_wrapping_folders(tmp_path, make_dataset, pack, names):
    archive = pack(tmp_path / "a.zip", *names)
    listing = sources.fetch(make_dataset("archive", address=str(archive)), tmp_path / "d").table
    assert listing["id"].tolist() == ["cat/1.jpg", "dog/2.JPG"]
    assert Path(listing["path"][0]).read_text().endswith("cat/1.jpg")


def test_parts_in_an_archive(tmp_path, make_dataset, pack):
    names = ["set/train/cat/1.jpg", "set/train/dog/1.jpg", "set/val/cat/1.jpg", "set/doc/x.pdf"]
    given = make_dataset("archive", address=pack(tmp_path / "a.zip", *names).as_uri())
    listing = sources.fetch(given, tmp_path / "d").table
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
def test_archives_that_are_ambiguous_list_what_was_found(
    tmp_path, make_dataset, pack, mistake, names, words
):
    given = make_dataset("archive", address=str(pack(tmp_path / "a.zip", *names)))
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert all(word in text for word in words), text
    assert "dataset.folder" in text or "one class" in text


def test_folder_inside_the_archive(tmp_path, make_dataset, pack, mistake):
    names = ["x/cat/1.jpg", "x/dog/1.jpg", "y/cat/1.jpg", "y/deep/er/1.jpg"]
    address = str(pack(tmp_path / "a.zip", *names))

    def fetch(dataset):
        return sources.fetch(dataset, tmp_path / "d").table

    assert len(fetch(make_dataset("archive", address=address, folder="x"))) == 2
    assert len(fetch(make_dataset("archive", address=address, folder="./y/"))) == 2
    assert set(fetch(make_dataset("archive", address=address, folder="."))["label"]) == {"x", "y"}
    text = mistake(fetch, make_dataset("archive", address=address, folder="z"))
    assert all(word in text for word in ["dataset.folder", "'z'", "x/ (2 folders)"])
    for folder in ("../x", "/etc", "x/../.."):
        given = make_dataset("archive", address=address, folder=folder)
        assert "dataset.folder" in mistake(fetch, given)
        assert "dataset.folder" in mistake(sources.fingerprint, given)


def test_chinese_classes_zipped_on_windows(tmp_path, make_dataset):
    classes = {"苹果": "0" * 4, "火龙果": "1" * 6}
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for stand_in in classes.values():
            archive.writestr(f"{stand_in}/1.jpg", b"data")
    data = path.read_bytes()
    for name, stand_in in classes.items():
        data = data.replace(f"{stand_in}/1.jpg".encode(), f"{name}/1.jpg".encode("gbk"))
    path.write_bytes(data)
    listing = sources.fetch(make_dataset("archive", address=str(path)), tmp_path / "d").table
    assert set(listing["label"]) == set(classes)


def test_an_archive_is_fetched_and_unpacked_once(tmp_path, make_dataset, pack, mistake, served):
    folder, address = served
    archive = pack(folder / "a.zip", "cat/1.jpg", "dog/1.jpg")
    digest = hashlib.sha1(archive.read_bytes()).hexdigest()
    given = make_dataset("archive", address=f"{address}/a.zip", hash=digest)
    mark = sources.fingerprint(given)
    listing = sources.fetch(given, tmp_path / "d").table
    archive.unlink()
    for path in (tmp_path / "d").glob("*/a.zip"):
        path.unlink()
    assert sources.fetch(given, tmp_path / "d").table.equals(listing)
    assert sources.fingerprint(given) == mark
    other = make_dataset("archive", address=f"{address}/a.zip", hash="0" * 40)
    assert sources.fingerprint(other) != mark
    assert "status 404" in mistake(sources.fetch, other, tmp_path / "d")


def test_jobs_at_the_same_time_unpack_once(tmp_path, monkeypatch, make_dataset, pack):
    given = make_dataset("archive", address=str(pack(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg")))
    unpacked, extract = [], archives.extract

    def slowly(archive, target):
        unpacked.append(target)
        time.sleep(0.1)
        extract(archive, target)

    monkeypatch.setattr(archives, "extract", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: sources.fetch(given, tmp_path / "d").table, range(4)))
    assert len(unpacked) == 1 and all(listing.equals(found[0]) for listing in found)


def test_a_first_download_that_is_no_archive_is_not_trusted(
    tmp_path, make_dataset, pack, mistake, served
):
    folder, address = served
    (folder / "a.zip").write_text("<html>Log in</html>")
    given = make_dataset("archive", address=f"{address}/a.zip")
    assert "neither a zip nor a tar" in mistake(sources.fetch, given, tmp_path / "d")
    pack(folder / "a.zip", "cat/1.jpg", "dog/1.jpg")
    assert len(sources.fetch(given, tmp_path / "d").table) == 2


def test_a_local_archive_that_changes_is_unpacked_anew(tmp_path, make_dataset, pack, mistake):
    given = make_dataset("archive", address=str(tmp_path / "a.zip"))
    assert "does not exist" in mistake(sources.check_address, given)
    pack(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg")
    mark = sources.fingerprint(given)
    assert len(sources.fetch(given, tmp_path / "d").table) == 2
    pack(tmp_path / "a.zip", "cat/1.jpg", "dog/1.jpg", "dog/2.jpg")
    assert sources.fingerprint(given) != mark
    assert len(sources.fetch(given, tmp_path / "d").table) == 3


def test_a_folder_too_deep_for_a_path_is_named(tmp_path, monkeypatch, make_dataset, fill, mistake):
    fill(tmp_path / "set", "cat/1.jpg", "dog/1.jpg")
    monkeypatch.chdir(tmp_path / "set/cat")
    for _ in range(20):
        Path("d" * 250).mkdir()
        monkeypatch.chdir("d" * 250)
    line = mistake(sources.survey, make_dataset("folder", path=str(tmp_path / "set")))
    assert line.startswith("dataset.path: …ddd") and "(File name too long); mend that" in line
    assert len(line) < 300


@pytest.mark.parametrize(
    "name", ["a\nb.png", "a\tb.png", 'a"b.png', "a,b.png", "a\x1eb.png", " a.png"]
)
def test_an_odd_name_comes_through_the_tables_of_a_study(tmp_path, make_dataset, fill, name):
    fill(tmp_path / "set", f"cat/{name}", "dog/1.png")
    listing = sources.survey(make_dataset("folder", path=str(tmp_path / "set"))).table
    manifest.build(listing).to_csv(tmp_path / "manifest.csv", index=False)
    assert list(manifest.read(tmp_path / "manifest.csv")["id"]) == [f"cat/{name}", "dog/1.png"]
