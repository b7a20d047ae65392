"""Archives of any content: everything inside of the target, or one line and nothing."""

import io
import os
import tarfile
import zipfile

import pytest
from fuzzing import amount, folder, only_own_errors
from hypothesis import given
from hypothesis import strategies as st

from headstart.data import archives

pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("ignore:Duplicate name")]

PIECES = [
    "a",
    "b.jpg",
    "..",
    ".",
    "",
    "set",
    "C:",
    "猫",
    "é",
    "\\",
    "\n",
    "\r",
    "x" * 256,
    "\udcff",
]
paths = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("/".join)
contents = st.binary(max_size=40) | st.just(bytes(5000))
KINDS = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in draw(st.lists(paths, max_size=4)):
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name.encode(errors="ignore").decode()
            info.compress_type = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
            mode = draw(st.sampled_from([0, 0o100644, 0o120777, 0o040755, 0o010644]))
            info.external_attr = mode << 16
            data = draw(paths).encode(errors="ignore") if mode == 0o120777 else draw(contents)
            packed.writestr(info, data)
    return out.getvalue()


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    out = io.BytesIO()
    form = draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    mode = draw(st.sampled_from(["w", "w:gz", "w:xz"]))
    with tarfile.open(fileobj=out, mode=mode, format=form) as packed:
        for name in draw(st.lists(paths, max_size=4)):
            info = tarfile.TarInfo(name[:90])
            info.type = draw(st.sampled_from(KINDS))
            info.linkname = draw(paths)[:90]
            data = draw(contents) if info.type == tarfile.REGTYPE else b""
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An archive, whole or with a few bytes changed, or cut off."""
    data = bytearray(draw(zips() | tars()))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data)] * 3 + [len(data) // 2]))])


@amount(250)
@given(damaged() | st.binary(max_size=600))
def test_any_archive(data):
    with folder() as place:
        (place / "archive").write_bytes(data)
        (place / "outside").write_text("untouched")
        with only_own_errors():
            archives.extract(place / "archive", place / "target")
        assert {entry.name for entry in place.iterdir()} <= {"archive", "outside", "target"}
        assert (place / "outside").read_text() == "untouched"
        for where, folders, files in os.walk(place / "target"):
            for name in (*folders, *files):
                assert os.path.realpath(os.path.join(where, name)).startswith(f"{place}/target/")
