"""What a table of labels probably means: which column names the image, and which the class."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.data import delimited, names

_SEPARATORS = {".csv": "comma", ".tsv": "tab", ".txt": "whitespace"}
_LABELS = ("label", "class", "category", "target", "breed", "species", "diagnosis", "type", "dx")
_PARTS = ("split", "set", "subset", "part", "partition", "fold", "is_train", "is_training_img")
_ENOUGH = 0.5  # of the rows must lead to a file


@dataclass(frozen=True)
class Guess:
    """A table's likely settings, as `dataset.table` has them."""

    file: str
    separator: str
    columns: tuple[str, ...] | None
    image: str
    label: str
    matched: int
    rows: int


def is_table(path: Path) -> bool:
    """Whether a file may be a table of labels, by its ending."""
    known = path.suffix.lower() in _SEPARATORS and not names.is_junk(path.name)
    return known and os.path.isfile(path)


def tables(root: Path) -> list[Path]:
    """Text files directly in a folder that may be tables, the largest first."""
    found = filter(is_table, root.iterdir())
    return sorted(found, key=lambda path: -path.stat().st_size)


def guess(root: Path, images: Iterable[str], only: str | None = None) -> Guess | None:
    """The table in a folder that leads to most of its images; None where none does.

    Args:
        images: posix paths of the images, relative to the folder.
        only: the name of the table, where it is known.
    """
    index = _Index(images)
    chosen = [root / only] if only else tables(root)
    made = [found for path in chosen if (found := _read(root, path, index))]
    return max(made, key=lambda found: found.matched, default=None)


class _Index:
    """Images by path, by name and by stem, each with the folder and ending around it."""

    def __init__(self, images: Iterable[str]) -> None:
        self._patterns: dict[str, str] = {}
        for path in images:
            folder, _, name = path.rpartition("/")
            around = f"{folder}/" if folder else ""
            stem, ending = os.path.splitext(name)
            self._patterns.setdefault(path, "{}")
            self._patterns.setdefault(name, f"{around}{{}}")
            self._patterns.setdefault(stem, f"{around}{{}}{ending}")

    def pattern(self, cells: Iterable[str]) -> tuple[str, int]:
        """The pattern that leads from most cells to an image, and how many it leads there."""
        counts = Counter(
            found for cell in cells if (found := self._patterns.get(cell.replace("\\", "/")))
        )
        return counts.most_common(1)[0] if counts else ("", 0)


def _read(root: Path, path: Path, index: _Index) -> Guess | None:
    file = path.relative_to(root).as_posix()
    likely = _SEPARATORS.get(path.suffix.lower(), "comma")
    for separator in dict.fromkeys([likely, "comma", "semicolon", "tab"]):
        try:
            lines = delimited.lines(root, file, separator)
        except HeadstartError:
            continue
        if found := _columns(lines, separator, file, index):
            return found
    return None


def _columns(lines: list[list[str]], separator: str, file: str, index: _Index) -> Guess | None:
    widths = set(map(len, lines))
    if len(widths) != 1 or min(widths) < 2:
        return None
    headless = index.pattern(lines[0])[1] > 0
    columns = [f"column{k}" for k in range(1, min(widths) + 1)] if headless else lines[0]
    rows = pd.DataFrame(lines if headless else lines[1:], columns=columns, dtype="str")
    if rows.empty or not rows.columns.is_unique:
        return None
    patterns = {name: index.pattern(rows[name]) for name in columns}
    image, (pattern, matched) = max(patterns.items(), key=lambda item: item[1][1])
    label = _label(rows.drop(columns=image))
    if matched < _ENOUGH * len(rows) or label is None:
        return None
    return Guess(
        file=file,
        separator=separator,
        columns=tuple(columns) if headless else None,
        image=pattern.replace("{}", f"{{{image}}}"),
        label=label,
        matched=matched,
        rows=len(rows),
    )


def _label(rows: pd.DataFrame) -> str | None:
    """The column of the class: a telling name, else the first with few values that repeat."""
    counts = {str(name): rows[name].nunique() for name in rows}
    fit = [name for name, count in counts.items() if 2 <= count <= max(2, len(rows) // 2)]
    told = [name for name in fit if name.strip().lower() in _LABELS]
    others = [name for name in fit if name.strip().lower() not in _PARTS]
    return next(iter([*told, *others]), None)
