"""Image paths: which files below a source the paths in a table mean."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.data import names
from headstart.experiment.config import Table

_ABSOLUTE = r"(?:/|[A-Za-z]:/)"
_UPWARD = r"(?:^|/)\.\.(?:/|$)"
_KEY = "dataset.table.image"


def find(paths: pd.Series, root: Path, table: Table) -> tuple[pd.Series, list[str]]:
    """The paths of a table's rows as they are below the source, and notes on what was changed.

    Backslashes become slashes; absolute paths become relative, where need be without the leading
    part that another machine had; an ending is added where the name lacks it.

    Args:
        paths: str, as the pattern gives them.
        root: folder of the source.

    Returns:
        Posix paths relative to `root`, with the index of `paths`. Some may lead to no file, which
        a note tells.

    Raises:
        HeadstartError: a path leads out of the source, or none leads to a file.
    """
    files = _Files(root)
    tidy = paths.str.replace("\\", "/").str.replace(r"/(?:\.?/)+", "/", regex=True)
    below = _below(tidy.str.replace(r"^\./", "", regex=True), root)
    if (upward := below.str.contains(_UPWARD)).any():
        raise HeadstartError(_outside(below[upward].iloc[0], root, table))
    below, moved = _without_foreign_part(below, files, table)
    lost = below[~below.map(files.has).astype(bool)]
    endings = _endings(lost.unique(), files, table)
    missing = lost[~lost.isin(list(endings))]
    if len(missing) == len(below) > 0:
        first = root / below.iloc[0]
        raise HeadstartError(
            f"{_KEY}: {table.image!r} leads to no file, {first} is not there; correct the pattern"
        )
    completed = below + below.map(endings).fillna("").astype("str")
    notes = [
        *moved,
        *_on_endings(len(lost) - len(missing), endings.values(), table),
        *_on_missing(missing, len(below), table),
    ]
    return completed, notes


class _Files:
    """The files below a root; a folder is read once, when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._names: dict[str, set[str]] = {}
        self._endings: dict[str, Mapping[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether a path leads to a file, by the rules of the file system for case and accents."""
        folder, _, name = path.rpartition("/")
        if folder not in self._names:
            self._names[folder] = _file_names(f"{self.root}/{folder}")
        known = self._names[folder]
        return name in known or (bool(known) and os.path.isfile(f"{self.root}/{path}"))

    def endings(self, path: str) -> list[str]:
        """The endings of the images whose names are that of a path with an ending added."""
        folder, _, name = path.rpartition("/")
        if folder not in self._endings:
            self._endings[folder] = _by_stem(self._names.get(folder, set()))
        return self._endings[folder].get(name, [])


def _file_names(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if _is_file(entry)}
    except (OSError, ValueError):
        return set()


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _by_stem(known: set[str]) -> Mapping[str, list[str]]:
    found = defaultdict(list)
    for name in sorted(known):
        if names.is_image(name):
            length = len(names.ending(name))
            found[name[:-length]].append(name[-length:])
    return found


def _below(paths: pd.Series, root: Path) -> pd.Series:
    """Paths relative to the root, those that are absolute and lead below it."""
    if not paths.str.match(_ABSOLUTE).any():
        return paths
    for place in (os.path.abspath(root), os.path.realpath(root)):
        paths = paths.str.removeprefix(f"{place.replace(os.sep, '/').rstrip('/')}/")
    return paths


def _outside(path: str, root: Path | str, table: Table) -> str:
    return f"{_KEY}: {table.file} lists {path!r}, which is outside of {root}; list paths below it"


def _without_foreign_part(
    paths: pd.Series, files: _Files, table: Table
) -> tuple[pd.Series, list[str]]:
    """Absolute paths made relative by dropping the leading part that makes all lead to files."""
    absolute = paths.str.match(_ABSOLUTE)
    if not absolute.any():
        return paths, []
    foreign = paths[absolute]
    folders = [path.split("/")[:-1] for path in foreign]
    shared = os.path.commonprefix([min(folders), max(folders)])
    best, dropped = 0.0, ""
    for count in range(1, len(shared) + 1):
        part = "/".join(shared[:count]) + "/"
        found = foreign.str.removeprefix(part).map(lambda path: _leads(path, files)).sum()
        if found == len(foreign):
            note = f"{table.file} lists absolute paths; {part!r} was dropped from them"
            return paths.mask(absolute, paths.str.removeprefix(part)), [note]
        if found > best:
            best, dropped = found, part
    raise HeadstartError(_elsewhere(foreign, files, table, dropped))


def _leads(path: str, files: _Files) -> bool:
    return files.has(path) or bool(files.endings(path))


def _elsewhere(foreign: pd.Series, files: _Files, table: Table, dropped: str) -> str:
    """Why absolute paths, of which only those without `dropped` lead to a file, cannot be read."""
    first = foreign.iloc[0]
    if dropped:
        short = foreign.str.removeprefix(dropped)
        lost = short[~short.map(lambda path: _leads(path, files)).astype(bool)]
        return (
            f"{_KEY}: {table.file} lists absolute paths, which lead to files of {files.root} "
            f"without {dropped!r}, but not {lost.iloc[0]!r}"
            f"{f' and {len(lost) - 1:,} more' if len(lost) > 1 else ''}; add what is missing, or "
            "remove the rows"
        )
    if os.path.isfile(first):
        return _outside(first, files.root, table)
    return (
        f"{_KEY}: {table.file} lists {first!r}, an absolute path that is not on this machine, and "
        f"without any leading part that all such paths share it leads to no file of {files.root}; "
        "list paths below it"
    )


def _endings(lost: Iterable[str], files: _Files, table: Table) -> dict[str, str]:
    """The ending that each path lacks to lead to an image, for those that lack but this."""
    options = {path: found for path in lost if (found := files.endings(path))}
    shared = [{ending.lower() for ending in found} for found in options.values()]
    common = set.intersection(*shared) if shared else set()
    return {
        path: _only(path, found, common if len(common) == 1 else None, table)
        for path, found in options.items()
    }


def _only(path: str, endings: list[str], common: Collection[str] | None, table: Table) -> str:
    """The one ending of a path that is meant: of several the one that all others have, too."""
    fitting = [each for each in endings if common is None or each.lower() in common]
    if len(fitting) > 1:
        named = " or ".join(repr(path + ending) for ending in fitting)
        raise HeadstartError(
            f"{_KEY}: {path!r} of {table.file} may be {named}; "
            f"end the pattern {table.image!r} with what is meant"
        )
    return fitting[0]


def _on_endings(count: int, endings: Collection[str], table: Table) -> Iterator[str]:
    if endings:
        images = f"{count:,} image{'' if count == 1 else 's'}"
        kinds = " or ".join(sorted(set(endings)))
        yield f"{table.file} names {images} without ending; {kinds} was added"


def _on_missing(missing: pd.Series, count: int, table: Table) -> Iterator[str]:
    if len(missing):
        has = "has no file:" if len(missing) == 1 else "have no file, such as"
        yield f"{table.file}: {len(missing):,} of {count:,} rows {has} {missing.iloc[0]}"
