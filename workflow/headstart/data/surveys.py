"""Surveys: the images of a source, and what its owner should know of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from headstart import one_line

_MOST_CLASSES = 20
_EDGE_CLASSES = 5
_IDS = 3


@dataclass(frozen=True, eq=False)
class Survey:
    """The images of a source.

    Attributes:
        table: one row per file, all columns strings: `id` (path relative to the source, posix),
            `path` (openable from the working directory), `label` (in Unicode's form NFC),
            `split` (the source's own part, '' if none), `group` (what stays on one side of a
            split, '' if none).
        notes: lines that tell what was passed over and what looks odd.
    """

    table: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[tuple[str, str]]:
        """(heading, text) for the terminal: counts, classes, the first images, the notes."""
        counts = self.table["label"].value_counts().sort_index()
        yield (
            "images",
            f"{len(self.table):,} files in {len(counts)} classes, "
            f"{counts.min():,} to {counts.max():,} a class",
        )
        yield "classes", one_line(_classes(counts))
        for part in sorted(set(self.table["split"])):
            first = self.table.loc[self.table["split"] == part, "id"].head(_IDS)
            of = f"of {part}: " if part else ""
            yield "first", one_line(of + ", ".join(first))
        for note in self.notes:
            yield "note", note


def _classes(counts: pd.Series) -> str:
    texts = [f"{label} {count:,}" for label, count in counts.items()]
    if len(texts) <= _MOST_CLASSES:
        return ", ".join(texts)
    first, last = ", ".join(texts[:_EDGE_CLASSES]), ", ".join(texts[-_EDGE_CLASSES:])
    return f"{first} and {len(texts) - 2 * _EDGE_CLASSES:,} more, up to {last}"
