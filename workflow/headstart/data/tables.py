"""Tables: text files with one row per image, joined, turned into ids, labels and parts."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.data import delimited, imagepaths, names
from headstart.experiment.config import Part, Table, Threshold

_MATCH = "\0"  # the name of no column, as no table may hold NUL
_BOOLEANS = {
    "true": ("true", "yes", "on", "1"),
    "false": ("false", "no", "off", "0"),
}


def survey(root: Path, table: Table, extra: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """One row per row of the table, and notes on what was read otherwise than it stands there.

    Args:
        root: folder that the table's and the images' paths are relative to.
        extra: a column to add as `group`, if the table has one of this name.

    Returns:
        Columns id, path, label, split ('' without `table.part`) and perhaps group, all text,
        and the notes, a line each.

    Raises:
        HeadstartError: a file, column or cell is missing or wrong; names the setting.
    """
    rows, notes = _joined(root, table)
    _require_columns(rows, _placeholders(table), "image", table)
    _require_columns(rows, [table.label], "label", table)
    ids, changes = imagepaths.find(_filled(rows, table), root, table)
    listing = pd.DataFrame({"id": ids, "path": f"{root}/" + ids}, dtype="str")
    listing["label"] = _labels(rows, ids, table)
    listing["split"] = _parts(rows, table.part, table) if table.part else ""
    if extra in rows.columns:
        listing["group"] = rows[extra]
    return listing.astype("str"), notes + changes


def files(root: Path, table: Table) -> list[Path]:
    """The text files behind a table."""
    return [root / table.file, *(root / other.file for other in table.join)]


def _placeholders(table: Table) -> list[str]:
    """The columns that the pattern of an image's path names."""
    return re.findall(r"\{([^{}]+)\}", table.image)


def _filled(rows: pd.DataFrame, table: Table) -> pd.Series:
    """The pattern of an image's path, filled in for each row."""
    paths = pd.Series("", index=rows.index, dtype="str")
    for position, piece in enumerate(re.split(r"\{([^{}]+)\}", table.image)):
        if position % 2 and (empty := rows[piece] == "").any():
            raise HeadstartError(
                f"dataset.table.image: row {empty.argmax() + 1:,} of {table.file} has no "
                f"{piece!r}; fill it in or remove the row"
            )
        paths += rows[piece] if position % 2 else piece
    return paths


def _labels(rows: pd.DataFrame, ids: pd.Series, table: Table) -> pd.Series:
    labels = rows[table.label].str.normalize("NFC")
    if (empty := labels == "").any():
        first = ids[empty].iloc[0]
        raise HeadstartError(
            f"dataset.table.label: {first} has no {table.label!r} in {table.file}; "
            "fill it in or remove the row"
        )
    return _two_classes(labels, table.threshold) if table.threshold else labels


def _joined(root: Path, table: Table) -> tuple[pd.DataFrame, list[str]]:
    wanted = {*_placeholders(table), table.label, *([table.part.column] if table.part else [])}
    rows, notes = delimited.read(root, table, "dataset.table", wanted)
    for index, other in enumerate(table.join):
        key = f"dataset.table.join[{index}]"
        added, more = delimited.read(root, other, key, wanted | set(rows.columns))
        rows = _join(rows, added, other.file, key)
        notes += more
    return rows, notes


def _join(rows: pd.DataFrame, other: pd.DataFrame, file: str, key: str) -> pd.DataFrame:
    """Add to each row the columns of the one row of `other` that agrees in the shared ones."""
    shared = [name for name in other.columns if name in rows.columns]
    if not shared:
        raise HeadstartError(
            f"{key}: {file} shares no column with the tables before it, {_listed(other)} "
            f"against {_listed(rows)}; name the common column alike in both"
        )
    on = ", ".join(repr(name) for name in shared)
    repeated = other[other.duplicated(shared)]
    if len(repeated):
        cells = ", ".join(repeated[shared].iloc[0])
        raise HeadstartError(f"{key}: {file} has {cells} twice in {on}; keep one row")
    merged = rows.merge(other, "left", on=shared, indicator=_MATCH)
    unmatched = merged[merged.pop(_MATCH) == "left_only"]
    if len(unmatched):
        cells = ", ".join(unmatched[shared].iloc[0])
        raise HeadstartError(
            f"{key}: {file} has no row with {cells} in {on}, which a table before it has; add it"
        )
    return merged


def _require_columns(rows: pd.DataFrame, wanted: list[str], key: str, table: Table) -> None:
    for name in wanted:
        if name not in rows.columns:
            place = " and ".join(str(path) for path in files(Path(), table))
            raise HeadstartError(
                f"dataset.table.{key}: no column {name!r} in {place}; there are {_listed(rows)}"
            )


def _listed(rows: pd.DataFrame) -> str:
    return ", ".join(rows.columns)


def _two_classes(labels: pd.Series, threshold: Threshold) -> pd.Series:
    numbers = pd.to_numeric(labels, errors="coerce")
    if (wrong := numbers.isna()).any():
        raise HeadstartError(
            f"dataset.table.threshold: {labels.name!r} holds {labels[wrong].iloc[0]!r}, "
            "which is no number"
        )
    return (numbers < threshold.at).map({True: threshold.below, False: threshold.otherwise})


def _parts(rows: pd.DataFrame, part: Part, table: Table) -> pd.Series:
    _require_columns(rows, [part.column], "part.column", table)
    parts = _meanings(part.values)
    cells = rows[part.column]
    found = cells.str.casefold().map(parts)
    if (unknown := found.isna()).any():
        raise HeadstartError(
            f"dataset.table.part.values: column {part.column!r} of {table.file} holds "
            f"{names.some(cells[unknown].unique())}, but only {names.some(part.values)} have a "
            "part; add the cells to values, or remove the rows"
        )
    return found


def _meanings(values: Mapping[str, str]) -> dict[str, str]:
    """The part of each cell in lower case. YAML's yes and no mean all ways to write them."""
    parts: dict[str, str] = {}
    for value, part in values.items():
        cell = value.strip().casefold()
        if parts.setdefault(cell, part) != part:
            raise HeadstartError(
                f"dataset.table.part.values: {value!r} stands for {part} and for {parts[cell]}, "
                "as case does not count; keep one"
            )
    for meaning, cells in _BOOLEANS.items():
        if meaning in parts:
            parts = dict.fromkeys(cells, parts[meaning]) | parts
    return parts
