"""Archives: zip and tar unpacked so that nothing lands outside the target or half-way in it.

The archive's members are read as streams and written here, never by zipfile or tarfile: their
owners, modes and device numbers count for nothing. Links are made last, so that no file is
written through one.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from headstart import HeadstartError

_RATIO = 200  # times the archive's own size; photographs hardly shrink, bombs exceed 1000
_ALLOWANCE = 64 << 20  # bytes that any archive may unpack to
_BLOCK = 512  # bytes of a tar header; what each member counts at least
_LARGEST_READ = 16 << 20  # bytes that tarfile may ask for at once, for a header's sake
_LONGEST_LINK = 1024
_STREAMS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


class ArchiveError(HeadstartError):
    """An archive that cannot be unpacked, or must not be; the text names it."""


@dataclass(frozen=True)
class _Member:
    """What is inside, under its decoded name. `read` opens a file's content as a stream."""

    name: str
    kind: str  # file, folder, or link: a symbolic link to `target`, relative to its own folder
    size: int = 0
    target: str = ""
    read: Callable[[], IO[bytes]] | None = None


def extract(archive: Path, target: Path) -> None:
    """Unpack a zip, tar, tar.gz, tar.bz2 or tar.xz into the new folder `target`.

    The kind is told by content. The folder takes its name only when everything is unpacked.

    Raises:
        ArchiveError: the archive is damaged, encrypted or no archive; it has members that
            point outside or are devices; it unpacks to more than 200 times its size (from
            64 MiB on) or than the disk holds. Nothing is left behind.
    """
    try:
        with appearing(target) as folder, _members(archive) as members:
            _unpack(members, folder, archive)
    except ArchiveError:
        raise
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damage this way
            raise _damaged(archive, error) from None
        raise ArchiveError(
            f"dataset.address: {archive} cannot be unpacked into {target.parent} "
            f"({error.strerror}); mend that, or unpack it elsewhere and use source folder or csv"
        ) from None
    except NotImplementedError as error:
        raise ArchiveError(
            f"dataset.address: {archive} needs another program ({error}); unpack it by hand and "
            "use source folder or csv"
        ) from None
    except Exception as error:  # damaged bytes make zipfile and tarfile raise almost any type
        raise _damaged(archive, error) from None


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A new folder that takes the name `target` if the block succeeds, and goes if not.

    One process at a time may make a given target.
    """
    folder = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    try:
        folder.mkdir(parents=True)
        yield folder
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _damaged(archive: Path, error: Exception) -> ArchiveError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return ArchiveError(
        f"dataset.address: {archive} is truncated or damaged ({reason}); fetch it again"
    )


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    with archive.open("rb") as file:
        start = file.read(_BLOCK)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(packed, archive)
        return
    opener = next((o for magic, o in _STREAMS.items() if start.startswith(magic)), None)
    if opener is None and start[257:262] != b"ustar":
        raise ArchiveError(
            f"dataset.address: {archive} is neither a zip nor a tar archive, plain or compressed "
            f"with gz, bz2 or xz; it begins with {start[:12]!r}"
        )
    with opener(archive) if opener else archive.open("rb") as stream:
        bounded: Any = _Bounded(stream)
        with tarfile.open(fileobj=bounded, mode="r:") as packed:
            yield _tar_members(packed, archive)


class _Bounded:
    """A file whose reads are bounded: a forged header length must not fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        return self._read(size)


def _zip_members(packed: zipfile.ZipFile, archive: Path) -> Iterator[_Member]:
    infos = packed.infolist()
    unmarked = [info.orig_filename.encode("cp437") for info in infos if not _is_utf8(info)]
    codec = name_codec(unmarked)
    for info in infos:
        name = info.orig_filename
        if not _is_utf8(info):
            name = name.encode("cp437").decode(codec)
        name = name.replace("\\", "/")
        if info.flag_bits & 1:
            raise ArchiveError(
                f"dataset.address: {archive} is encrypted ({name}); unpack it by hand and use "
                "source folder or csv"
            )
        mode = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
        if name.endswith("/"):
            yield _Member(name, "folder")
        elif mode == stat.S_IFLNK:
            yield _Member(name, "link", target=_zip_link(packed, info))
        elif mode in (0, stat.S_IFREG):
            yield _Member(name, "file", info.file_size, read=partial(packed.open, info))
        else:
            raise _special(archive, name)


def _zip_link(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with packed.open(info) as file:
        return file.read(_LONGEST_LINK + 1).decode(errors="surrogateescape")


def _is_utf8(info: zipfile.ZipInfo) -> bool:
    return bool(info.flag_bits & 0x800)


def name_codec(names: Iterable[bytes]) -> str:
    """The encoding of file names in a zip that does not say: utf-8, gbk or cp437.

    What is valid UTF-8 is hardly ever anything else. GBK takes almost any bytes, but the
    common characters (GB 2312) have both bytes above 0xA0, where cp437 has few letters: at
    least half of the names must consist of these.
    """
    names = [name for name in names if not name.isascii()]
    if all(_decodes(name, "utf-8") for name in names):
        return "utf-8"
    common = sum(_decodes(name, "gb2312") for name in names)
    return "gbk" if 2 * common >= len(names) and all(_decodes(n, "gbk") for n in names) else "cp437"


def _decodes(name: bytes, codec: str) -> bool:
    try:
        name.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _tar_members(packed: tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    for info in packed:
        name, link = _tar_text(info.name), _tar_text(info.linkname)
        if info.isdir():
            yield _Member(name, "folder")
        elif info.isreg():
            yield _Member(name, "file", info.size, read=partial(_tar_file, packed, info))
        elif info.issym():
            yield _Member(name, "link", target=link)
        elif info.islnk():
            if link.startswith("/"):
                raise _outside(archive, name, link)
            yield _Member(name, "link", target=os.path.relpath(link, os.path.dirname(name) or "."))
        else:
            raise _special(archive, name)
    # tarfile takes a damaged header, or the end of the file, for the end of the archive.
    assert packed.fileobj is not None
    packed.fileobj.seek(packed.offset)
    if packed.fileobj.read(_BLOCK) != bytes(_BLOCK):
        raise tarfile.ReadError("no end of archive where it should be")
    packed.fileobj.read(_LARGEST_READ)  # to the end, where the checksums of gz, bz2 and xz stand


def _tar_text(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    return raw.decode(name_codec([raw]))


def _tar_file(packed: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = packed.extractfile(info)
    assert file is not None  # so it is for regular files
    return file


def _unpack(members: Iterator[_Member], root: Path, archive: Path) -> None:
    packed_size = archive.stat().st_size
    limit = max(_RATIO * packed_size, _ALLOWANCE)
    room = shutil.disk_usage(root).free
    total, links = 0, {}
    for member in tqdm(members, desc=f"unpacking {archive.name}", unit=" files", disable=None):
        path = root.joinpath(*_parts(member.name, archive))
        total += _BLOCK + member.size
        if total > limit:
            raise ArchiveError(
                f"dataset.address: {archive} of {packed_size:,} bytes unpacks to more than "
                f"{limit:,}: a decompression bomb; if not, unpack it by hand and use source folder"
            )
        if total > room:
            raise ArchiveError(
                f"dataset.address: {archive} unpacks to more than the {room:,} bytes free in "
                f"{root.parent}; make room"
            )
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
        elif member.kind == "link":
            links[path] = member.target
        elif member.read:
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.read() as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    _link(links, root, archive)


def _parts(name: str, archive: Path) -> list[str]:
    """The components of a member's name, none of which may lead out of the target."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or re.match("[A-Za-z]:/", name) or ".." in parts or "\0" in name:
        raise ArchiveError(
            f"dataset.address: {archive} holds {name!r}, which would be written outside the "
            "target folder; nothing was unpacked, do not trust this archive"
        )
    return parts


def _link(links: dict[Path, str], root: Path, archive: Path) -> None:
    """Make the links; each must lead to something that was unpacked."""
    for path in links:
        path.parent.mkdir(parents=True, exist_ok=True)
    for path, target in links.items():
        if target.startswith("/") or len(target) > _LONGEST_LINK:
            raise _outside(archive, str(path.relative_to(root)), target)
        path.symlink_to(target)
    real = os.path.realpath(root)
    for path, target in links.items():
        try:
            inside = os.path.realpath(path, strict=True).startswith(real + os.sep)
        except OSError:
            inside = False
        if not inside:
            raise _outside(archive, str(path.relative_to(root)), target)


def _outside(archive: Path, name: str, target: str) -> ArchiveError:
    return ArchiveError(
        f"dataset.address: {archive} holds the link {name!r} to {target!r}, which is not inside "
        "it; nothing was unpacked, do not trust this archive"
    )


def _special(archive: Path, name: str) -> ArchiveError:
    return ArchiveError(
        f"dataset.address: {archive} holds {name!r}, a device, pipe or socket; nothing was "
        "unpacked, do not trust this archive"
    )
