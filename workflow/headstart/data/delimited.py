"""Delimited text: a file's bytes decoded, cut into cells and checked line by line."""

import codecs
import csv
import io
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.data import names
from headstart.experiment.config import Join, Table

_SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "whitespace": " "}
_MARKED = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT = {
    b"PK\x03\x04": "a spreadsheet or an archive, not text; save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet, not text; save it as CSV",
    b"PAR1": "a Parquet file, not text; save it as CSV",
    b"\x1f\x8b": "compressed; unpack it",
}

_END = "\0"  # a last line that is a row of its own unless a quotation mark is left open

csv.field_size_limit(2**31 - 1)


class _MistakeError(Exception):
    """What is wrong with a file; the setting to put before it is `file` or `columns`."""

    def __init__(self, text: str, setting: str = "file") -> None:
        super().__init__(text)
        self.setting = setting


def read(
    root: Path, table: Table | Join, key: str, wanted: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a text file, every cell as stripped text, and notes on how it was read.

    Blank lines, and lines of separators only, are passed over.

    Args:
        root: what `table.file` is relative to.
        key: the setting that describes the table, to name in an error.
        wanted: columns that the settings name; where a file has none of them, but a picture's
            name in its first line, that line is no header.

    Raises:
        HeadstartError: the file is missing or no such text, or a line does not fit the header.
    """
    path = root / table.file
    if not os.path.isfile(path):
        raise HeadstartError(f"{key}.file: {table.file} is not in {root}")
    try:
        text, notes = _text(path.read_bytes(), table.file)
        lines = list(_lines(text, table))
        columns = _columns(lines, table, wanted)
        rows = [_fitted(cells, columns, line, table) for line, cells in lines]
    except _MistakeError as error:
        raise HeadstartError(f"{key}.{error.setting}: {error}") from None
    except OSError as error:
        raise HeadstartError(f"{key}.file: {path} cannot be read ({error.strerror})") from None
    frame = pd.DataFrame(rows, columns=pd.Index(columns), dtype="str")
    return frame.apply(lambda column: column.str.strip()), notes


def lines(root: Path, file: str, separator: str) -> list[list[str]]:
    """The stripped cells of every line that is not blank, the first one too, whatever it is.

    Raises:
        HeadstartError: the file is missing or no such text.
    """
    try:
        text, _ = _text((root / file).read_bytes(), file)
        found = list(_lines(text, Join(file, separator, None)))
    except _MistakeError as error:
        raise HeadstartError(str(error)) from None
    except OSError as error:
        raise HeadstartError(f"{root / file} cannot be read ({error.strerror})") from None
    return [[cell.strip() for cell in cells] for _, cells in found]


def _text(data: bytes, file: str) -> tuple[str, list[str]]:
    """The file's characters, and a note where their encoding is a guess."""
    if kind := next((kind for mark, kind in _NO_TEXT.items() if data.startswith(mark)), None):
        raise _MistakeError(f"{file} is {kind}")
    marked = next((codec for mark, codec in _MARKED.items() if data.startswith(mark)), None)
    codec = marked or _by_nulls(data) or "utf-8"
    notes = []
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        if codec != "utf-8":
            raise _MistakeError(
                f"{file} begins as {codec} text, but byte {error.start + 1:,} is none "
                f"({error.reason}); save it as UTF-8"
            ) from None
        text, western = _western(data)
        notes = [
            f"{file} is not UTF-8 and was read as {western}; save it as UTF-8 if letters look wrong"
        ]
    _require_no_null(text, file)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def _by_nulls(data: bytes) -> str | None:
    """UTF-16 without a mark, in which every other byte of Western text is null."""
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < len(head) / 5 or min(even, odd) > len(head) / 50:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _western(data: bytes) -> tuple[str, str]:
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def _require_no_null(text: str, file: str) -> None:
    before, null, after = text.partition("\0")
    if null:
        start = before.rpartition("\n")[2] + null + after.partition("\n")[0]
        raise _MistakeError(
            f"line {before.count(chr(10)) + 1} of {file} holds a NUL character, "
            f"{start.strip()[:60]!r}; remove it"
        )


def _lines(text: str, table: Table | Join) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not blank."""
    if table.separator == "whitespace":
        text = "\n".join(line.strip() for line in text.replace("\t", " ").split("\n"))
    reader = csv.reader(
        chain(io.StringIO(text), ["\n", _END]),
        delimiter=_SEPARATORS[table.separator],
        skipinitialspace=True,
    )
    line = 1
    for cells in reader:
        if cells == [_END]:
            return
        if any(map(str.strip, cells)):
            yield line, cells
        start, line = line, reader.line_num + 1
    raise _MistakeError(
        f'line {start} of {table.file} opens a quotation mark that nothing closes; write "" for '
        "a mark inside of a cell"
    )


def _columns(
    lines: list[tuple[int, list[str]]], table: Table | Join, wanted: Collection[str]
) -> list[str]:
    """Names of the columns; a header line is taken off the lines."""
    if not lines:
        raise _MistakeError(f"{table.file} is empty; give a table with one row per image")
    if table.columns:
        _require_unique(table.columns, "it has", "columns")
        if len(table.columns) != (found := len(lines[0][1])):
            raise _MistakeError(
                f"it names {len(table.columns)} columns, but {table.file} has {found} when "
                f"{table.separator}-separated",
                "columns",
            )
        return list(table.columns)
    header = [name.strip() for name in lines.pop(0)[1]]
    _require_header(header, table, wanted)
    _require_unique(header, f"the header of {table.file} has", "file")
    return [name or f"Unnamed: {place}" for place, name in enumerate(header)]


def _require_header(header: list[str], table: Table | Join, wanted: Collection[str]) -> None:
    picture = next(filter(names.is_image, header), None)
    if picture and not set(wanted) & set(header):
        raise _MistakeError(
            f"{table.file} has no header, as its first line is of the image {picture!r}; name its "
            f"{len(header)} columns here, in their order",
            "columns",
        )


def _require_unique(columns: Sequence[str], where: str, setting: str) -> None:
    counts = Counter(filter(None, columns))
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise _MistakeError(f"{where} the column {repeated[0]!r} twice; rename one", setting)


def _fitted(cells: list[str], columns: list[str], line: int, table: Table | Join) -> list[str]:
    """A line's cells, one for each column; empty ones beyond them go, nameless columns may lack."""
    if len(cells) == len(columns):
        return cells
    surplus, lacking = cells[len(columns) :], columns[len(cells) :]
    if any(map(str.strip, surplus)) or not all(name.startswith("Unnamed: ") for name in lacking):
        raise _MistakeError(
            f"line {line} of {table.file} has {len(cells)} {table.separator}-separated cells, but "
            f"there are {len(columns)} columns; correct the line"
        )
    return cells[: len(columns)] + [""] * len(lacking)
