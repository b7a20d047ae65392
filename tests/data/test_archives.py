"""Archives: what is good is unpacked whole, under its own names."""

import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from headstart.data import archives


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def unpack(archive: Path) -> Path:
    target = archive.parent / "out" / "target"
    archives.extract(archive, target)
    assert os.listdir(target.parent) == ["target"]
    return target


def test_zip(tmp_path, make_zip, good_files):
    target = unpack(make_zip(tmp_path / "no_suffix"))
    assert content(target) == {k: v for k, v in good_files.items() if "." in k}
    assert (target / "set/empty").stat().st_size == 0


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tar(tmp_path, make_tar, good_files, kind, form):
    target = unpack(make_tar(tmp_path / "a", mode=f"w:{kind}", format=form))
    assert content(target) == {k: v for k, v in good_files.items() if "." in k}


def test_long_names_and_owners_and_modes(tmp_path, make_tar, member):
    long = "/".join(["d" * 90] * 3) + "/x.jpg"
    target = unpack(make_tar(tmp_path / "a", member(long, size=3), member("./x/./set.uid")))
    assert (target / long).read_bytes() == bytes(3)
    assert not (target / "x/set.uid").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


def test_folders_and_links_inside(tmp_path, make_tar, member, good_files):
    inside = [
        member("b/two.jpg", tarfile.LNKTYPE, "set/cat/1.jpg"),
        member("b/three.jpg", tarfile.SYMTYPE, "../set/cat/1.jpg"),
        member("all", tarfile.SYMTYPE, "set"),
        member("made/here", tarfile.DIRTYPE),
    ]
    target = unpack(make_tar(tmp_path / "a", *inside))
    picture = good_files["set/cat/1.jpg"]
    assert (target / "b/two.jpg").read_bytes() == (target / "b/three.jpg").read_bytes() == picture
    assert (target / "all/cat/1.jpg").is_file() and (target / "made/here").is_dir()


def test_zip_link_inside(tmp_path, make_zip):
    path = make_zip(tmp_path / "a", {"b/link.jpg": b"../a/1.jpg"}, external_attr=0o120777 << 16)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("a/1.jpg", b"one")
    assert (unpack(path) / "b/link.jpg").read_bytes() == b"one"


def test_a_small_archive_may_shrink_well(tmp_path, make_zip):
    assert unpack(make_zip(tmp_path / "a", {"blank.bmp": bytes(1 << 20)}))


def test_what_a_killed_process_left_is_cleared(tmp_path, make_zip):
    left = tmp_path / "out" / ".target.unfinished"
    left.mkdir(parents=True)
    (left / "half.jpg").touch()
    assert not (unpack(make_zip(tmp_path / "a")) / "half.jpg").exists()


def raw_zip(path: Path, names: list[bytes]) -> Path:
    """Entries under names of exactly these bytes, as tools write them that say no encoding."""
    with zipfile.ZipFile(path, "w") as packed:
        for index, _ in enumerate(names):
            packed.writestr(f"{index:03}{'x' * (len(names[index]) - 3)}", b"data")
    data = path.read_bytes()
    for index, name in enumerate(names):
        data = data.replace(f"{index:03}{'x' * (len(name) - 3)}".encode(), name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["utf-8", "gbk"])
def test_chinese_names_without_a_word_on_their_encoding(tmp_path, codec):
    names = ["数据/苹果/1.jpg", "数据/香蕉/2.jpg", "数据/火龙果/图片.jpg", "plain/readme.txt"]
    if codec == "gbk":
        names.append("数据/櫻桃/1.jpg")  # in GBK, not among the common characters
    target = unpack(raw_zip(tmp_path / "a.zip", [name.encode(codec) for name in names]))
    assert sorted(content(target)) == sorted(names)


def test_gbk_bytes_that_look_like_a_backslash(tmp_path):
    name = "水果/乗/1.jpg"
    assert b"\\" in name.encode("gbk")
    names = [name, "水果/苹果/1.jpg", "水果/香蕉/1.jpg"]
    target = unpack(raw_zip(tmp_path / "a.zip", [name.encode("gbk") for name in names]))
    assert sorted(content(target)) == sorted(names)


def test_european_names_of_old_windows(tmp_path):
    names = ["Käse/Brötchen.jpg", "Äpfel/naïve.jpg", "Señal/água.jpg"]
    target = unpack(raw_zip(tmp_path / "a.zip", [name.encode("cp437") for name in names]))
    assert sorted(content(target)) == sorted(names)


def test_names_with_backslashes(tmp_path, make_zip):
    target = unpack(make_zip(tmp_path / "a", {"set\\cat\\1.jpg": b"x"}, create_system=0))
    assert list(content(target)) == ["set/cat/1.jpg"]


def test_tar_with_names_in_gbk(tmp_path, make_tar):
    files = {"水果/苹果.jpg": b"x"}
    path = make_tar(tmp_path / "a", files=files, encoding="gbk", format=tarfile.GNU_FORMAT)
    assert content(unpack(path)) == files
