"""Tables: text files with one row per image, joined, turned into ids, labels and parts."""

import os
import re
import warnings
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.experiment.config import Join, Part, Table, Threshold

_SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "whitespace": r"\s+"}
_OUTSIDE = r"^/|(?:^|/)\.\.(?:/|$)"


def list_images(root: Path, table: Table) -> pd.DataFrame:
    """One row per row of the table: columns id, path, label, split ('' without `table.part`).

    Raises:
        HeadstartError: a file, column or cell is missing or wrong; names the setting.
    """
    rows = _joined(root, table)
    literals_and_columns = re.split(r"\{([^{}]+)\}", table.image)
    _require_columns(rows, literals_and_columns[1::2], "image", table)
    _require_columns(rows, [table.label], "label", table)
    ids = pd.Series("", index=rows.index, dtype="str")
    for position, piece in enumerate(literals_and_columns):
        ids += rows[piece] if position % 2 else piece
    labels = rows[table.label]
    if table.threshold:
        labels = _two_classes(labels, table.threshold)
    if (empty := labels == "").any():
        raise HeadstartError(
            f"dataset.table.label: {ids[empty].iloc[0]} has no {table.label!r} in {table.file}; "
            "fill it in or remove the row"
        )
    paths = (str(root) + os.sep) + ids
    _require_files(ids, paths, root, table)
    parts = _parts(rows, table.part, table) if table.part else ""
    return pd.DataFrame({"id": ids, "path": paths, "label": labels, "split": parts}, dtype="str")


def files(root: Path, table: Table) -> list[Path]:
    """The text files behind a table."""
    return [root / table.file, *(root / other.file for other in table.join)]


def _joined(root: Path, table: Table) -> pd.DataFrame:
    rows = _read(root, table, "dataset.table")
    for index, other in enumerate(table.join):
        key = f"dataset.table.join[{index}]"
        rows = _join(rows, _read(root, other, key), other.file, key)
    return rows


def _join(rows: pd.DataFrame, other: pd.DataFrame, file: str, key: str) -> pd.DataFrame:
    """Add to each row the columns of the one row of `other` that agrees in the shared ones."""
    shared = [name for name in other.columns if name in rows.columns]
    if not shared:
        raise HeadstartError(
            f"{key}: {file} shares no column with the tables before it, {', '.join(other.columns)} "
            f"against {', '.join(rows.columns)}; name the common column alike in both"
        )
    on = ", ".join(repr(name) for name in shared)
    repeated = other[other.duplicated(shared)]
    if len(repeated):
        cells = ", ".join(repeated[shared].iloc[0])
        raise HeadstartError(f"{key}: {file} has {cells} twice in {on}; keep one row")
    merged = rows.merge(other, "left", on=shared, indicator="headstart_merge")
    unmatched = merged[merged.pop("headstart_merge") == "left_only"]
    if len(unmatched):
        cells = ", ".join(unmatched[shared].iloc[0])
        raise HeadstartError(
            f"{key}: {file} has no row with {cells} in {on}, which a table before it has; add it"
        )
    return merged


def _read(root: Path, table: Table | Join, key: str) -> pd.DataFrame:
    """Every cell as stripped text."""
    path = root / table.file
    if not path.is_file():
        raise HeadstartError(f"{key}.file: {table.file} is not in {root}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            rows = pd.read_csv(
                path,
                sep=_SEPARATORS[table.separator],
                header=None if table.columns else 0,
                index_col=False,
                dtype="str",
                keep_default_na=False,
                encoding="utf-8-sig",
            )
    except (ValueError, pd.errors.ParserWarning) as error:
        raise HeadstartError(
            f"{key}.file: {path} is no {table.separator}-separated text: "
            f"{' '.join(str(error).split())}"
        ) from None
    if table.columns:
        if len(table.columns) != rows.shape[1]:
            raise HeadstartError(
                f"{key}.columns names {len(table.columns)} columns, "
                f"but {path} has {rows.shape[1]} when {table.separator}-separated"
            )
        rows.columns = pd.Index(table.columns)
    return rows.rename(columns=str.strip).apply(lambda column: column.str.strip())


def _require_columns(rows: pd.DataFrame, names: list[str], key: str, table: Table) -> None:
    for name in names:
        if name not in rows.columns:
            place = " and ".join(str(path) for path in files(Path(), table))
            raise HeadstartError(
                f"dataset.table.{key}: no column {name!r} in {place}; "
                f"there are {', '.join(rows.columns)}"
            )


def _require_files(ids: pd.Series, paths: pd.Series, root: Path, table: Table) -> None:
    """No image outside the source, and at least one that exists, else the pattern is wrong."""
    if (outside := ids.str.contains(_OUTSIDE)).any():
        raise HeadstartError(
            f"dataset.table.image: {table.file} lists {ids[outside].iloc[0]!r}, which is outside "
            f"of {root}; list paths below it"
        )
    if len(paths) and not any(map(os.path.isfile, paths)):
        raise HeadstartError(
            f"dataset.table.image: {table.image!r} leads to no file, {paths.iloc[0]} is not there; "
            "correct the pattern"
        )


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
    cells = rows[part.column]
    if (unknown := ~cells.isin(part.values)).any():
        raise HeadstartError(
            f"dataset.table.part.values: column {part.column!r} of {table.file} holds "
            f"{cells[unknown].iloc[0]!r}, but only {', '.join(map(repr, part.values))} have a part"
        )
    return cells.map(part.values)
