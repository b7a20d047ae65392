"""What a table of labels probably means: which column names the image, and which the class."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headstart.data import names

_TABLES = {".csv": "comma", ".tsv": "tab", ".txt": "whitespace"}
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "whitespace": r"\s+"}
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


def tables(root: Path) -> list[Path]:
    """Text files directly in a folder that may be tables, the largest first."""
    found = [
        path
        for path in root.iterdir()
        if path.suffix.lower() in _TABLES and path.is_file() and not names.is_junk(path.name)
    ]
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
    for separator in dict.fromkeys([_TABLES[path.suffix.lower()], "comma", "semicolon", "tab"]):
        for header in (0, None):
            try:
                rows = pd.read_csv(
                    path,
                    sep=_SEPARATORS[separator],
                    header=header,
                    dtype="str",
                    keep_default_na=False,
                    encoding_errors="replace",
                )
            except (ValueError, OSError):
                continue
            if found := _columns(rows, separator, header is None, path.relative_to(root), index):
                return found
    return None


def _columns(
    rows: pd.DataFrame, separator: str, headless: bool, file: Path, index: _Index
) -> Guess | None:
    if headless:
        rows.columns = pd.Index([f"column{k}" for k in range(1, rows.shape[1] + 1)])
    if rows.shape[1] < 2 or rows.empty:
        return None
    patterns = {str(name): index.pattern(rows[name].str.strip()) for name in rows}
    image, (pattern, matched) = max(patterns.items(), key=lambda item: item[1][1])
    label = _label(rows.drop(columns=image))
    names_an_image = not headless and index.pattern([image])[1]
    if matched < _ENOUGH * len(rows) or label is None or names_an_image:
        return None
    return Guess(
        file=file.as_posix(),
        separator=separator,
        columns=tuple(map(str, rows)) if headless else None,
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
