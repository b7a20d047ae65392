"""Archives: what is good is unpacked whole, what is bad not at all."""

import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from headstart import HeadstartError
from headstart.data import archives

NOISE = random.Random(0).randbytes(50_000)
FILES = {"set/cat/1.jpg": NOISE, "set/dog/Käse.jpg": b"dog", "set/empty": b""}


def make_zip(path: Path, files: dict[str, bytes] = FILES, **change) -> Path:
    """A zip; `change` sets attributes of every entry."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in change.items():
                setattr(info, key, value)
            packed.writestr(info, data)
    return path


def make_tar(
    path: Path, *members: tarfile.TarInfo, mode: str = "w", files: dict = FILES, **keys
) -> Path:
    with tarfile.open(path, mode, **keys) as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for info in members:
            packed.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, size, 0o6755
    return info


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def unpack(archive: Path) -> Path:
    target = archive.parent / "out" / "target"
    archives.extract(archive, target)
    assert os.listdir(target.parent) == ["target"]
    return target


def refused(archive: Path) -> str:
    """The error; nothing may have been written anywhere."""
    home = archive.parent
    (home / "out").mkdir(exist_ok=True)
    before = sorted(home.rglob("*"))
    with pytest.raises(HeadstartError) as error:
        archives.extract(archive, home / "out" / "target")
    assert sorted(home.rglob("*")) == before
    text = str(error.value)
    assert text.startswith("dataset.address: ") and "\n" not in text and str(archive) in text
    return text


def test_zip(tmp_path):
    target = unpack(make_zip(tmp_path / "no_suffix"))
    assert content(target) == {k: v for k, v in FILES.items() if "." in k}
    assert (target / "set/empty").stat().st_size == 0


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tar(tmp_path, kind, form):
    target = unpack(make_tar(tmp_path / "a", mode=f"w:{kind}", format=form))
    assert content(target) == {k: v for k, v in FILES.items() if "." in k}


def test_long_names_and_owners_and_modes(tmp_path):
    long = "/".join(["d" * 90] * 3) + "/x.jpg"
    target = unpack(make_tar(tmp_path / "a", member(long, size=3), member("./x/./set.uid")))
    assert (target / long).read_bytes() == bytes(3)
    assert not (target / "x/set.uid").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


def test_folders_and_links_inside(tmp_path):
    inside = [
        member("b/two.jpg", tarfile.LNKTYPE, "set/cat/1.jpg"),
        member("b/three.jpg", tarfile.SYMTYPE, "../set/cat/1.jpg"),
        member("all", tarfile.SYMTYPE, "set"),
        member("made/here", tarfile.DIRTYPE),
    ]
    target = unpack(make_tar(tmp_path / "a", *inside))
    assert (target / "b/two.jpg").read_bytes() == (target / "b/three.jpg").read_bytes() == NOISE
    assert (target / "all/cat/1.jpg").is_file() and (target / "made/here").is_dir()


def test_zip_link_inside(tmp_path):
    path = make_zip(tmp_path / "a", {"b/link.jpg": b"../a/1.jpg"}, external_attr=0o120777 << 16)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("a/1.jpg", b"one")
    assert (unpack(path) / "b/link.jpg").read_bytes() == b"one"


LEADING_OUT = ["../evil", "a/../../evil", "/tmp/headstart-evil", "//evil", ".."]


@pytest.mark.parametrize("name", [*LEADING_OUT, "..\\evil", "C:\\evil", "a\0b"])
def test_names_in_a_zip_that_lead_out(tmp_path, name):
    assert "outside the target" in refused(make_zip(tmp_path / "bad", FILES | {name: b"x"}))
    assert not Path("/tmp/headstart-evil").exists()


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_in_a_tar_that_lead_out(tmp_path, name):
    assert "outside the target" in refused(make_tar(tmp_path / "bad", member(name, size=1)))
    assert not Path("/tmp/headstart-evil").exists()


@pytest.mark.parametrize(
    "links",
    [
        [("a", tarfile.SYMTYPE, "/etc/passwd")],
        [("a", tarfile.SYMTYPE, "..")],
        [("set/a", tarfile.SYMTYPE, "../../elsewhere")],
        [("a", tarfile.LNKTYPE, "../bad")],
        [("a", tarfile.LNKTYPE, "/etc/passwd")],
        [("a", tarfile.SYMTYPE, "nowhere")],
        [("a", tarfile.SYMTYPE, "a")],
        [("a", tarfile.SYMTYPE, ".")],
        [("a", tarfile.SYMTYPE, "x/" * 2000)],
        # Each harmless by its text; together they climb out.
        [("set/cat/up", tarfile.SYMTYPE, ".."), ("out", tarfile.SYMTYPE, "set/cat/up/../..")],
    ],
)
def test_links_that_lead_out(tmp_path, links):
    (tmp_path / "elsewhere").mkdir()
    text = refused(make_tar(tmp_path / "bad", *(member(*link) for link in links)))
    assert "link" in text and "not inside" in text


def test_zip_link_that_leads_out(tmp_path):
    path = make_zip(tmp_path / "bad", {"a/x": b"../../up"}, external_attr=0o120777 << 16)
    assert "'a/x' to '../../up'" in refused(path)


def test_nothing_is_written_through_a_link(tmp_path):
    """The link first, then a file below it: refused, whichever is made first."""
    victim = tmp_path / "victim"
    victim.mkdir()
    links = [member("d", tarfile.SYMTYPE, str(victim)), member("d/evil", size=4)]
    refused(make_tar(tmp_path / "bad", *links))
    assert not list(victim.iterdir())


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_in_a_tar(tmp_path, kind):
    assert "'null', a device" in refused(make_tar(tmp_path / "bad", member("null", kind)))


@pytest.mark.parametrize("mode", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_in_a_zip(tmp_path, mode):
    path = make_zip(tmp_path / "bad", {"null": b""}, external_attr=(mode | 0o666) << 16)
    assert "'null', a device" in refused(path)


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_ALLOWANCE", 1 << 20)
    zeros = {f"{index}.jpg": bytes(1 << 19) for index in range(3)}
    assert "bomb" in refused(make_zip(tmp_path / "zip", zeros))
    assert "bomb" in refused(make_tar(tmp_path / "tar", member("z", size=16 << 20), mode="w:gz"))
    crowd = [member("d", tarfile.DIRTYPE)] * 3000
    monkeypatch.setattr(archives, "_RATIO", 10)
    assert "bomb" in refused(make_tar(tmp_path / "crowd", *crowd, mode="w:xz"))


def test_a_small_archive_may_shrink_well(tmp_path):
    assert unpack(make_zip(tmp_path / "a", {"blank.bmp": bytes(1 << 20)}))


def test_a_header_that_claims_memory(tmp_path):
    info = member("x", tarfile.XHDTYPE, size=1 << 32)
    (tmp_path / "bad").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2048))
    assert "a header claims" in refused(tmp_path / "bad")


def test_more_than_the_disk_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    assert "10,000 bytes free" in refused(make_zip(tmp_path / "big"))


def test_encrypted(tmp_path):
    path = make_zip(tmp_path / "bad")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + offset] |= 1
    path.write_bytes(data)
    assert "is encrypted" in refused(path)


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_truncated(tmp_path, kind, share):
    path = tmp_path / "cut"
    path = make_zip(path) if kind == "zip" else make_tar(path, mode=f"w:{kind}")
    data = path.read_bytes()
    if not kind:
        data = data[: 512 * 102]  # without the padding at its end
    path.write_bytes(data[: int(share * len(data))])
    assert "truncated or damaged" in refused(path)


def test_tar_cut_between_two_members(tmp_path):
    path = make_tar(tmp_path / "cut")
    path.write_bytes(path.read_bytes()[: 512 + 98 * 512])
    assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_a_flipped_bit(tmp_path, kind):
    path = tmp_path / "bad"
    path = make_zip(path) if kind == "zip" else make_tar(path, mode=f"w:{kind}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    assert "truncated or damaged" in refused(path)


def test_a_damaged_tar_header_is_not_the_end(tmp_path):
    path = make_tar(tmp_path / "bad")
    data = bytearray(path.read_bytes())
    data[512 + 98 * 512 + 3] ^= 1
    path.write_bytes(data)
    assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html><p>Log in", b"Rar!\x1a\x07\x00" + NOISE])
def test_what_is_no_archive(tmp_path, data):
    (tmp_path / "page").write_bytes(data)
    assert "neither a zip nor a tar" in refused(tmp_path / "page")


def test_damage_anywhere_is_one_line(tmp_path):
    """Random damage ends in a whole folder or in one line, never in a traceback."""
    draw = random.Random(1)
    for kind in ("zip", "", "gz", "xz"):
        path = tmp_path / f"fuzz{kind}"
        path = make_zip(path) if kind == "zip" else make_tar(path, mode=f"w:{kind}")
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(3):
                place = draw.choice([draw.randrange(len(data)), -draw.randrange(1, 400)])
                data[place] = draw.randrange(256)
            path.write_bytes(data)
            target = tmp_path / "target"
            try:
                archives.extract(path, target)
            except HeadstartError as error:
                assert "\n" not in str(error) and not target.exists()
            shutil.rmtree(target, ignore_errors=True)


def test_a_file_where_a_folder_is(tmp_path):
    text = refused(make_zip(tmp_path / "bad", {"a": b"", "a/b": b""}))
    assert "cannot be unpacked" in text


def test_what_a_killed_process_left_is_cleared(tmp_path):
    left = tmp_path / "out" / ".target.unfinished"
    left.mkdir(parents=True)
    (left / "half.jpg").touch()
    assert not (unpack(make_zip(tmp_path / "a")) / "half.jpg").exists()


def raw_zip(path: Path, names: list[bytes], flag: int = 0, extra: bytes = b"") -> Path:
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


def test_names_with_backslashes(tmp_path):
    target = unpack(make_zip(tmp_path / "a", {"set\\cat\\1.jpg": b"x"}, create_system=0))
    assert list(content(target)) == ["set/cat/1.jpg"]


def test_tar_with_names_in_gbk(tmp_path):
    files = {"水果/苹果.jpg": b"x"}
    path = make_tar(tmp_path / "a", files=files, encoding="gbk", format=tarfile.GNU_FORMAT)
    assert content(unpack(path)) == files
