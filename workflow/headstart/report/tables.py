"""Tables as the page shows them, and as files: CSV with plain numbers, Markdown and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tabulate import tabulate

from headstart.report.formats import missing

Record = dict[str, Any]


def records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a frame as dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


class Column(NamedTuple):
    """A column: its heading, the key of its values, and how they are written.

    With `ends`, the keys of an interval's ends, the interval stands beside the value, or `bare`
    in its place. A column that is not written in any way holds words.
    """

    title: str
    key: str
    write: Callable[[Any], str] | None = None
    ends: tuple[str, str] | None = None
    bare: bool = False

    @property
    def words(self) -> bool:
        return self.write is None

    def text(self, record: Record) -> str:
        value = record[self.key]
        if self.bare:
            return self._ends(record) or "–"
        return self.write(value) if self.write else "–" if missing(value) else str(value)

    def interval(self, record: Record) -> str:
        """Low to high, or nothing."""
        return "" if self.bare else self._ends(record)

    def _ends(self, record: Record) -> str:
        if self.ends is None or self.write is None or missing(record[self.ends[0]]):
            return ""
        return " to ".join(self.write(record[end]) for end in self.ends)

    def value(self, record: Record) -> Any:
        """What the column is sorted by."""
        value = record[self.key]
        return "" if missing(value) else value


@dataclass(frozen=True)
class Table:
    """Records with the columns to show.

    Attributes:
        name: of its files.
        caption: a sentence without its full stop.
        best: the strategy whose rows are marked.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    records: Sequence[Record]
    best: str | None = None

    @property
    def titles(self) -> list[str]:
        return [column.title for column in self.columns]

    def texts(self) -> list[list[str]]:
        """Every cell as plain text, an interval in brackets behind its value."""
        return [[self._cell(column, record) for column in self.columns] for record in self.records]

    @staticmethod
    def _cell(column: Column, record: Record) -> str:
        text, interval = column.text(record), column.interval(record)
        return f"{text} ({interval})" if interval else text

    def frame(self) -> pd.DataFrame:
        """The plain values under their keys, intervals in columns of their own."""
        keys = [key for column in self.columns for key in (column.key, *(column.ends or ()))]
        return pd.DataFrame(self.records, columns=list(dict.fromkeys(keys)))


def write(table: Table, folder: Path) -> None:
    """Write <name>.csv, .md and .tex; the LaTeX needs the package booktabs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / table.name
    table.frame().to_csv(path.with_suffix(".csv"), index=False)
    path.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    path.with_suffix(".tex").write_text(latex(table), encoding="utf-8")


def _aligned(table: Table) -> list[str]:
    return ["left" if column.words else "right" for column in table.columns]


def markdown(table: Table) -> str:
    """A pipe table under its caption."""
    rows = [[_plain(cell) for cell in row] for row in table.texts()]
    settings: Any = {"colalign": _aligned(table)} if rows else {}
    body = tabulate(rows, table.titles, tablefmt="pipe", disable_numparse=True, **settings)
    return f"{table.caption}.\n\n{body}\n"


def latex(table: Table) -> str:
    """A floating table with caption, label and booktabs rules."""
    rows = [[_one_line(cell) for cell in row] for row in table.texts()]
    settings: Any = {"colalign": _aligned(table)} if rows else {}
    body = tabulate(
        rows, table.titles, tablefmt="latex_booktabs", disable_numparse=True, **settings
    )
    caption = tabulate([[table.caption]], tablefmt="latex").splitlines()[2].removesuffix(r"\\")
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{caption.strip()}.}}\n\\label{{tab:{table.name}}}\n"
        f"{body}\n\\end{{table}}\n"
    ).replace("\N{MINUS SIGN}", "$-$")


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else: neither for a border nor for HTML."""
    return _one_line(text).replace("|", r"\|").replace("<", "&lt;")


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
