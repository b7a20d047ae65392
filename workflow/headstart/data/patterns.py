"""Patterns, as in a .gitignore file, that say which of a source's files count."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pathspec import GitIgnoreSpec

from headstart import HeadstartError
from headstart.data import names
from headstart.experiment.config import Dataset

_SPECIAL = re.compile(r"[][*?!#\\ ]")


@dataclass(frozen=True)
class Patterns:
    """`dataset.include` and `dataset.exclude`; false where neither is given.

    All paths are posix and relative to the source's root. As in git, a folder that is excluded is
    so with everything in it.
    """

    include: GitIgnoreSpec | None = None
    exclude: GitIgnoreSpec | None = None

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)

    @property
    def keys(self) -> str:
        """The keys that are set, for an error."""
        given = {"dataset.include": self.include, "dataset.exclude": self.exclude}
        return " and ".join(key for key, spec in given.items() if spec)

    def take_folder(self, path: str) -> bool:
        """Whether to look into a folder; the folders that it lies in are not looked at."""
        return not (self.exclude and self.exclude.match_file(f"{names.label(path)}/"))

    def take_file(self, path: str) -> bool:
        """Whether a file counts; its folders are looked at as a part of its path only."""
        path = names.label(path)
        if self.include and not self.include.match_file(path):
            return False
        return not (self.exclude and self.exclude.match_file(path))

    def take(self, path: str) -> bool:
        """Whether a file counts, and each of the folders that it lies in."""
        folders = PurePosixPath(path).parents[:-1]
        return self.take_file(path) and all(self.take_folder(str(folder)) for folder in folders)


def of(dataset: Dataset) -> Patterns:
    """The patterns of a data set.

    Raises:
        HeadstartError: one of them is none.
    """
    return Patterns(_spec("include", dataset.include), _spec("exclude", dataset.exclude))


def folder(path: str) -> str:
    """The pattern of one folder, by its path relative to the source."""
    literal = _SPECIAL.sub(r"\\\g<0>", path)
    return f"/{literal}/"


def listed(folders: Iterable[str]) -> str:
    """The patterns of folders as a list in YAML."""
    quoted = ["'" + folder(path).replace("'", "''") + "'" for path in folders]
    return f"[{', '.join(quoted)}]"


def _spec(key: str, lines: tuple[str, ...]) -> GitIgnoreSpec | None:
    for index, line in enumerate(lines):
        try:
            usable = any(p.include is not None for p in GitIgnoreSpec.from_lines([line]).patterns)
        except ValueError:
            usable = False
        if not usable:
            raise HeadstartError(
                f"dataset.{key}[{index}]: {line!r} is no pattern as in a .gitignore file; write "
                "'*.png', '/folder/' or '\\#name', or leave it out"
            )
    return GitIgnoreSpec.from_lines(map(names.label, lines)) if lines else None
