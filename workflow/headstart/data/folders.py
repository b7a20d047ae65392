"""Class folders: images whose folder is their label, and where such folders begin."""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from headstart import HeadstartError

PARTS = {"train", "val", "valid", "validation", "test"}
_JUNK = {"Thumbs.db", "desktop.ini", "__MACOSX"}
_IMAGES = {
    *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
_SHOWN = 8


class FolderError(HeadstartError):
    """A folder is not laid out as expected; the setting to mend is the caller's to name."""


def list_images(root: Path, foreign: bool = False) -> pd.DataFrame:
    """Every visible file of the class folders below `root`, at any depth.

    Args:
        foreign: the folder came out of an archive, so its layout is not the user's to mend:
            folders without any image are passed over.

    Returns:
        Columns id, path, label, split (the part folder's name, '' where there is none).

    Raises:
        FolderError: the classes cannot be told, a class is empty, or a name is no text.
    """
    rows = []
    for label, part, entry in labelled(root, foreign):
        try:
            entry.path.encode()
        except UnicodeEncodeError:
            raise FolderError(
                f"file name {os.fsencode(entry.path)!r} is not valid UTF-8; rename it"
            ) from None
        rows.append((relative(entry, root), entry.path, label, part))
    return pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype="str")


def labelled(root: Path, foreign: bool = False) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """(label, part, file) of every file below a class folder, in a fixed order.

    Every class must hold a file in at least one part.
    """
    folders = class_folders(root, foreign)
    filled = set()
    for part, folder in folders:
        for entry in files(folder, {_identity(root), _identity(folder)}):
            filled.add(folder.name)
            yield folder.name, part, entry
    for _, folder in folders:
        if folder.name not in filled:
            raise FolderError(f"class folder {folder.path} holds no files; fill or remove it")


def class_folders(root: Path, foreign: bool = False) -> list[tuple[str, os.DirEntry[str]]]:
    """(part, class folder) pairs; part is '' where the source has no part folders."""
    folders = _subfolders(root, foreign)
    if not folders:
        raise FolderError(
            f"{root} has no class subfolders, only {_count(_scan(root))}; expected "
            f"{root}/CLASS/IMAGE, or {root}/PART/CLASS/IMAGE with parts train, val and test"
        )
    parts = [entry for entry in folders if entry.name.lower() in PARTS]
    if not parts:
        return [("", entry) for entry in folders]
    if others := [entry.name for entry in folders if entry not in parts]:
        raise FolderError(
            f"{root} is ambiguous, with both the part folder {parts[0].name!r} and "
            f"{others[0]!r}; have either class folders or train, val and test, and rename the rest"
        )
    pairs = []
    for part in parts:
        classes = _subfolders(part, foreign)
        if not classes:
            raise FolderError(
                f"part folder {part.path} has no class subfolders, only "
                f"{_count(_scan(part))}; expected {part.path}/CLASS/IMAGE"
            )
        pairs += [(part.name, entry) for entry in classes]
    return pairs


def has_subfolders(folder: os.DirEntry[str]) -> bool:
    return bool(_subfolders(folder))


def find_root(top: Path) -> Path:
    """The folder of class or part folders, reached through single wrapping folders.

    Hidden and system files, files that are no images and folders without any image do not count.

    Raises:
        FolderError: more than one folder could be meant; lists what was found.
    """
    here = top
    while True:
        folders = _subfolders(here, with_image=True)
        if folders and all(entry.name.lower() in PARTS for entry in folders):
            return here
        wrapping = len(folders) == 1 and bool(_subfolders(folders[0], with_image=True))
        if folders and not wrapping and all(map(_has_direct_image, folders)):
            return here
        if not wrapping or _has_direct_image(here):
            raise FolderError(
                f"{here} does not tell where the classes are: it holds {contents(here)}; "
                "set dataset.folder to the folder, inside the archive, of the class or train, "
                "val and test folders"
            )
        here = here / folders[0].name


def find_file(top: Path, name: str) -> Path:
    """The one folder at or below `top` that holds the file `name`, a relative path.

    Raises:
        FolderError: no folder or more than one does; lists what was found.
    """
    found = [folder for folder in _folders(top, {_identity(top)}) if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(folder.relative_to(top).as_posix() for folder in found[:_SHOWN])
        raise FolderError(f"{name} stands in several folders: {places}; set dataset.folder to one")
    raise FolderError(f"{name} is not in {top}, which holds {contents(top)}")


def files(
    folder: Path | os.DirEntry[str], seen: set[tuple[int, int]]
) -> Iterator[os.DirEntry[str]]:
    """Files at any depth. `seen` holds folders already entered, so that links cannot loop."""
    for entry in _scan(folder):
        kind = _kind(entry)
        if kind == "file":
            yield entry
        elif kind == "folder" and (identity := _identity(entry)) not in seen:
            seen.add(identity)
            yield from files(entry, seen)


def _folders(top: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """`top` and the folders below it, entered as `files` enters them."""
    yield top
    for entry in _scan(top):
        if _kind(entry) == "folder" and (identity := _identity(entry)) not in seen:
            seen.add(identity)
            yield from _folders(top / entry.name, seen)


def relative(entry: os.DirEntry[str], root: Path) -> str:
    """Posix path of an entry that was found below `root`."""
    return entry.path[len(os.path.join(root, "")) :].replace(os.sep, "/")


def _subfolders(
    folder: Path | os.DirEntry[str], with_image: bool = False
) -> list[os.DirEntry[str]]:
    """Folders directly inside; with `with_image` only those with an image at any depth."""
    folders = [entry for entry in _scan(folder) if _kind(entry) == "folder"]
    if not with_image:
        return folders
    return [entry for entry in folders if any(map(_is_image, files(entry, set())))]


def _has_direct_image(folder: Path | os.DirEntry[str]) -> bool:
    return any(_is_image(entry) and _kind(entry) == "file" for entry in _scan(folder))


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in _IMAGES


def contents(folder: Path) -> str:
    """What a folder holds, for an error: 'a' (3 folders), 'b' (120 files), readme.txt."""
    found = _scan(folder)
    names = []
    for entry in found[:_SHOWN]:
        if _kind(entry) != "folder":
            names.append(entry.name)
            continue
        deeper = len(_subfolders(entry))
        names.append(
            f"{entry.name}/ ({_counted(deeper, 'folder') if deeper else _count(_scan(entry))})"
        )
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (", ".join(names) or "nothing") + more


def _count(entries: list[os.DirEntry[str]]) -> str:
    return _counted(len(entries), "file")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _scan(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, without hidden and system files."""
    try:
        with os.scandir(folder) as entries:
            kept = [e for e in entries if not e.name.startswith(".") and e.name not in _JUNK]
    except OSError as error:
        raise FolderError(f"{os.fspath(folder)} cannot be read ({error.strerror})") from None
    return sorted(kept, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry[str]) -> str:
    """'folder', 'file' or 'other'. A dangling link is a file: one that cannot be read."""
    try:
        if entry.is_dir():
            return "folder"
        regular = entry.is_file()
    except OSError:
        regular = False
    dangling = entry.is_symlink() and not os.path.exists(entry)
    return "file" if regular or dangling else "other"


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    stat = os.stat(folder)
    return stat.st_dev, stat.st_ino
