"""Folders as their owner means them: without junk, without what patterns leave out."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from headstart import HeadstartError
from headstart.data import names
from headstart.data.patterns import Patterns

Entry: TypeAlias = "os.DirEntry[str]"
Folder: TypeAlias = "Path | os.DirEntry[str]"
_SHOWN = 8


class FolderError(HeadstartError):
    """A folder is not laid out as expected; the setting to mend is the caller's to name."""


@dataclass(frozen=True)
class Tree:
    """A source's folder, seen without hidden and system files and what its patterns leave out."""

    root: Path
    patterns: Patterns = Patterns()

    def scan(self, folder: Folder) -> list[Entry]:
        """What a folder holds, sorted by name.

        Raises:
            FolderError: the folder cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                kept = [entry for entry in entries if not names.is_junk(entry.name)]
        except OSError as error:
            raise _unreadable(folder, error) from None
        if self.patterns:
            kept = [entry for entry in kept if self._counts(entry)]
        return sorted(kept, key=lambda entry: entry.name)

    def _counts(self, entry: Entry) -> bool:
        path = self.relative(entry)
        patterns = self.patterns
        return patterns.take_folder(path) if is_folder(entry) else patterns.take_file(path)

    def relative(self, entry: Entry) -> str:
        """Posix path of an entry that was found below the root."""
        return entry.path[len(os.path.join(self.root, "")) :].replace(os.sep, "/")

    def folders(self, folder: Folder) -> list[Entry]:
        """The folders directly inside."""
        return [entry for entry in self.scan(folder) if is_folder(entry)]

    def images(self, folder: Folder) -> list[Entry]:
        """The files directly inside whose names are those of images."""
        found = self.scan(folder)
        return [entry for entry in found if names.is_image(entry.name) and _is_file(entry)]

    def files(self, folder: Folder) -> Iterator[Entry]:
        """Files at any depth; a link back to the folder or to the root is not followed."""
        return self._files(folder, {_identity(self.root), _identity(folder)})

    def _files(self, folder: Folder, seen: set[tuple[int, int]]) -> Iterator[Entry]:
        for entry in self.scan(folder):
            if not is_folder(entry):
                if _is_file(entry):
                    yield entry
            elif (identity := _identity(entry)) not in seen:
                seen.add(identity)
                yield from self._files(entry, seen)

    def has_image(self, folder: Folder) -> bool:
        """Whether there is an image, by name, at any depth."""
        return any(names.is_image(entry.name) for entry in self.files(folder))

    def is_emptied(self, folder: Folder) -> bool:
        """Whether there are files, but the patterns leave none of them."""
        if not self.patterns or any(self.files(folder)):
            return False
        return any(replace(self, patterns=Patterns()).files(folder))

    def find_file(self, name: str) -> Path:
        """The one folder, the root or below, that holds the file `name`, a relative path.

        Raises:
            FolderError: no folder or more than one does; lists what was found.
        """
        found = [
            folder for folder in self._below(self.root, set()) if os.path.isfile(folder / name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            places = [folder.relative_to(self.root).as_posix() for folder in found[:_SHOWN]]
            raise FolderError(
                f"{name} stands in several folders: {', '.join(places)}; set dataset.folder to one"
            )
        raise FolderError(f"{name} is not in {self.root}, which holds {self.contents(self.root)}")

    def _below(self, folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
        """A folder and the folders below it, each once."""
        if (identity := _identity(folder)) not in seen:
            seen.add(identity)
            yield folder
            for entry in self.folders(folder):
                yield from self._below(folder / entry.name, seen)

    def contents(self, folder: Folder) -> str:
        """What a folder holds, for an error: a/ (3 folders), b/ (120 files), readme.txt."""
        found = self.scan(folder)
        parts = []
        for entry in found[:_SHOWN]:
            inside = f"/ ({self.count(entry)})" if is_folder(entry) else ""
            parts.append(f"{entry.name}{inside}")
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return (", ".join(parts) or "nothing") + more

    def count(self, folder: Folder) -> str:
        """How many folders a folder holds, or how many files if there are none."""
        if deeper := len(self.folders(folder)):
            return counted(deeper, "folder")
        return counted(len(self.scan(folder)), "file")


def counted(count: int, noun: str) -> str:
    """1 file, 1,200 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_folder(entry: Entry) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: Entry) -> bool:
    """A dangling link is a file: one that cannot be read. A pipe or a socket is none."""
    try:
        regular = entry.is_file()
    except OSError:
        regular = False
    return regular or (entry.is_symlink() and not os.path.exists(entry))


def _identity(folder: Folder) -> tuple[int, int]:
    try:
        stat = os.stat(folder)
    except OSError as error:
        raise _unreadable(folder, error) from None
    return stat.st_dev, stat.st_ino


def _unreadable(folder: Folder, error: OSError) -> FolderError:
    path = names.short(os.fspath(folder))
    return FolderError(f"{path} cannot be read ({error.strerror}); mend that, or move it away")
