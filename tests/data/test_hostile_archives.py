"""Archives that are hostile, damaged or too large: refused in one line, nothing written."""

import random
import shutil
import stat
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from headstart import HeadstartError
from headstart.data import archives

NOISE = random.Random(0).randbytes(50_000)
LEADING_OUT = ["../evil", "a/../../evil", "/tmp/headstart-evil", "//evil", ".."]


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


@pytest.mark.parametrize("name", [*LEADING_OUT, "..\\evil", "C:\\evil", "a\0b"])
def test_names_in_a_zip_that_lead_out(tmp_path, make_zip, good_files, name):
    assert "outside the target" in refused(make_zip(tmp_path / "bad", good_files | {name: b"x"}))
    assert not Path("/tmp/headstart-evil").exists()


@pytest.mark.parametrize("name", LEADING_OUT)
def test_names_in_a_tar_that_lead_out(tmp_path, make_tar, member, name):
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
def test_links_that_lead_out(tmp_path, make_tar, member, links):
    (tmp_path / "elsewhere").mkdir()
    text = refused(make_tar(tmp_path / "bad", *(member(*link) for link in links)))
    assert "link" in text and "not inside" in text


def test_zip_link_that_leads_out(tmp_path, make_zip):
    path = make_zip(tmp_path / "bad", {"a/x": b"../../up"}, external_attr=0o120777 << 16)
    assert "'a/x' to '../../up'" in refused(path)


def test_nothing_is_written_through_a_link(tmp_path, make_tar, member):
    """The link first, then a file below it: refused, whichever is made first."""
    victim = tmp_path / "victim"
    victim.mkdir()
    links = [member("d", tarfile.SYMTYPE, str(victim)), member("d/evil", size=4)]
    refused(make_tar(tmp_path / "bad", *links))
    assert not list(victim.iterdir())


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_in_a_tar(tmp_path, make_tar, member, kind):
    assert "'null', a device" in refused(make_tar(tmp_path / "bad", member("null", kind)))


@pytest.mark.parametrize("mode", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_in_a_zip(tmp_path, make_zip, mode):
    path = make_zip(tmp_path / "bad", {"null": b""}, external_attr=(mode | 0o666) << 16)
    assert "'null', a device" in refused(path)


def test_bombs(tmp_path, monkeypatch, make_zip, make_tar, member):
    monkeypatch.setattr(archives, "_ALLOWANCE", 1 << 20)
    zeros = {f"{index}.jpg": bytes(1 << 19) for index in range(3)}
    assert "bomb" in refused(make_zip(tmp_path / "zip", zeros))
    assert "bomb" in refused(make_tar(tmp_path / "tar", member("z", size=16 << 20), mode="w:gz"))
    crowd = [member("d", tarfile.DIRTYPE)] * 3000
    monkeypatch.setattr(archives, "_RATIO", 10)
    assert "bomb" in refused(make_tar(tmp_path / "crowd", *crowd, mode="w:xz"))


def test_a_header_that_claims_memory(tmp_path, member):
    info = member("x", tarfile.XHDTYPE, size=1 << 32)
    (tmp_path / "bad").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2048))
    assert "a header claims" in refused(tmp_path / "bad")


def test_more_than_the_disk_holds(tmp_path, monkeypatch, make_zip):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    assert "10,000 bytes free" in refused(make_zip(tmp_path / "big"))


def test_encrypted(tmp_path, make_zip):
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
def test_truncated(tmp_path, make_zip, make_tar, kind, share):
    path = tmp_path / "cut"
    path = make_zip(path) if kind == "zip" else make_tar(path, mode=f"w:{kind}")
    data = path.read_bytes()
    if not kind:
        data = data[: 512 * 102]  # without the padding at its end
    path.write_bytes(data[: int(share * len(data))])
    assert "truncated or damaged" in refused(path)


def test_tar_cut_between_two_members(tmp_path, make_tar):
    path = make_tar(tmp_path / "cut")
    path.write_bytes(path.read_bytes()[: 512 + 98 * 512])
    assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_a_flipped_bit(tmp_path, make_zip, make_tar, kind):
    path = tmp_path / "bad"
    path = make_zip(path) if kind == "zip" else make_tar(path, mode=f"w:{kind}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
    assert "truncated or damaged" in refused(path)


def test_a_damaged_tar_header_is_not_the_end(tmp_path, make_tar):
    path = make_tar(tmp_path / "bad")
    data = bytearray(path.read_bytes())
    data[512 + 98 * 512 + 3] ^= 1
    path.write_bytes(data)
    assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html><p>Log in", b"Rar!\x1a\x07\x00" + NOISE])
def test_what_is_no_archive(tmp_path, data):
    (tmp_path / "page").write_bytes(data)
    assert "neither a zip nor a tar" in refused(tmp_path / "page")


def test_damage_anywhere_is_one_line(tmp_path, make_zip, make_tar):
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


def test_a_file_where_a_folder_is(tmp_path, make_zip):
    text = refused(make_zip(tmp_path / "bad", {"a": b"", "a/b": b""}))
    assert "cannot be unpacked" in text
