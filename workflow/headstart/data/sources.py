"""Sources: where images come from, listed without opening a single one."""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from headstart import HeadstartError, one_line
from headstart.data import downloads, groups, layout, names, notes, patterns, roots, tables
from headstart.data.folders import FolderError, Tree
from headstart.data.roots import check_address
from headstart.data.surveys import Survey
from headstart.experiment.config import Dataset, Table

_LOCAL = {"package", "folder", "csv"}


def is_local(dataset: Dataset) -> bool:
    """Whether the images can be listed as they are, without fetching or unpacking anything."""
    return dataset.source in _LOCAL


def list_images(dataset: Dataset) -> pd.DataFrame:
    """The table of `survey`."""
    return survey(dataset).table


def survey(dataset: Dataset, trains: bool = True) -> Survey:
    """List the images of a local source, sorted by id, and what its owner should know of them.
    Whether they can be read is for the manifest.

    Args:
        trains: whether models train on the images, which takes two classes and a part to train on.

    Raises:
        HeadstartError: the source is not there, or not laid out as the settings say.
    """
    return _survey(dataset, roots.local(dataset), trains)


def fetch(dataset: Dataset, folder: Path, trains: bool = True) -> Survey:
    """List the images of any source, after downloading and unpacking what is not here yet.

    Args:
        folder: where downloads are kept. One subfolder per address, shared by all experiments
            and used by one process at a time.
        trains: as in `survey`.

    Raises:
        HeadstartError: nothing can be fetched, or it is not laid out as the settings say.
    """
    if is_local(dataset):
        return survey(dataset, trains)
    check_address(dataset)
    return _survey(dataset, roots.unpacked(dataset, folder), trains)


def fingerprint(dataset: Dataset) -> str:
    """A short hash that changes when the source's files do; found without a network.

    It covers, for a folder or csv source, each listed file's relative path, size and
    modification time; for a package the distribution's name and version, or its files where no
    distribution owns it; for the others the address and hash, and a local archive's size and
    modification time.

    Raises:
        HeadstartError: the source is not there, or not laid out as expected.
    """
    digest = hashlib.sha256()
    if not is_local(dataset):
        check_address(dataset)
        digest.update(f"{dataset.name}\0{dataset.address}\0{dataset.hash}\n".encode())
        local = downloads.local_file(dataset.address) if dataset.address else None
        root = Path()
        paths: Iterable[str] = [os.fspath(local)] if local else []
    else:
        root = roots.local(dataset)
        owners = _distributions(dataset)
        for owner in owners:
            digest.update(f"{owner} {importlib.metadata.version(owner)}\n".encode())
        paths = [] if owners else _files(dataset, root)
    for path in paths:
        line = f"{os.path.relpath(path, root)}\0"
        if os.path.lexists(path):
            stat = os.stat(path, follow_symlinks=os.path.exists(path))
            line += f"{stat.st_size}\0{stat.st_mtime_ns}"
        digest.update(f"{line}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _distributions(dataset: Dataset) -> list[str]:
    if not dataset.package:
        return []
    top = dataset.package.partition(".")[0]
    return sorted(set(importlib.metadata.packages_distributions().get(top, [])))


def _files(dataset: Dataset, root: Path) -> Iterable[str]:
    """Paths of the files that a local source consists of, in a fixed order."""
    if dataset.source == "package":
        return (entry.path for entry in Tree(root).files(root))
    if dataset.table:
        texts = map(os.fspath, tables.files(root, dataset.table))
        return [*texts, *_from_table(dataset, dataset.table, root)[0]["path"].sort_values()]
    tree = Tree(root, patterns.of(dataset))
    try:
        found = layout.read(tree, dataset.classes)
        return [entry.path for _, entry in found.files(tree)]
    except FolderError as error:
        raise HeadstartError(f"dataset.path: {error}") from None


def _survey(dataset: Dataset, root: Path, trains: bool) -> Survey:
    least = 2 if trains else 1
    if table := dataset.table:
        listing, lines = _from_table(dataset, table, root)
        where = f"dataset.table.label ({table.label!r} of {table.file})"
        _require_classes(listing, where, least)
        if trains:
            _require_train_part(listing, table)
    else:
        listing, lines = _from_folders(dataset, root, least)
    listing = listing.sort_values("id", ignore_index=True)
    _require_one_line(listing)
    listing["group"] = _groups(dataset, listing)
    return Survey(listing, [one_line(line) for line in (*lines, *notes.on(listing))])


def _require_one_line(listing: pd.DataFrame) -> None:
    """No path with what ends a line of a CSV file, even in quotes."""
    if (odd := listing["path"].str.contains("\r")).any():
        raise HeadstartError(
            f"dataset.path: the name of {listing['path'][odd].iloc[0]!r} holds a carriage return; "
            "rename it, or leave it out with dataset.exclude"
        )


def _groups(dataset: Dataset, listing: pd.DataFrame) -> pd.Series:
    """What must stay together: a column's cells, else what an expression finds, else ''."""
    if "group" in listing:
        return listing["group"].str.normalize("NFC")
    if not dataset.group:
        return pd.Series("", index=listing.index, dtype="str")
    otherwise = f"is no column of {dataset.table.file} and " if dataset.table else ""
    return groups.find(listing["id"], dataset.group, otherwise)


# Tables


def _from_table(dataset: Dataset, table: Table, root: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a table whose images count, and notes on what was read otherwise."""
    if dataset.classes:
        raise HeadstartError(
            f"dataset.classes is {dataset.classes!r}, but column {table.label!r} of {table.file} "
            "has the labels; leave it out"
        )
    listing, lines = tables.survey(root, table, dataset.group)
    repeated = listing["id"][listing["id"].duplicated()]
    if len(repeated):
        raise HeadstartError(f"dataset.table lists {repeated.iloc[0]!r} twice; keep one row")
    if given := patterns.of(dataset):
        listing = listing[listing["id"].map(given.take)]
        if listing.empty:
            raise HeadstartError(
                f"{given.keys}: no row of {table.file} is left; correct the patterns"
            )
    return listing, lines


def _require_train_part(listing: pd.DataFrame, table: Table) -> None:
    parts = set(listing["split"])
    if parts and not parts & {"", "train"}:
        raise HeadstartError(
            f"dataset.table.part: no image of {table.file} is in part train, only in "
            f"{names.some(sorted(parts))}; correct the values, or leave dataset.table.part out"
        )


def _require_classes(listing: pd.DataFrame, where: str, least: int, hint: str = "") -> None:
    labels = listing["label"].unique()
    if not len(labels):
        raise HeadstartError(f"{where}: lists no images")
    if len(labels) < least:
        raise HeadstartError(
            f"{where}: found only one class, {labels[0]!r}; give at least two{hint}"
        )


# Folders


def _from_folders(dataset: Dataset, root: Path, least: int) -> tuple[pd.DataFrame, list[str]]:
    """The listing of class folders, at least so many, and notes on what lies beside them."""
    foreign = not is_local(dataset)
    key = "dataset.folder" if foreign else "dataset.path"
    tree = Tree(root, patterns.of(dataset))
    try:
        found = layout.read(tree, dataset.classes, foreign)
        rows = [_row(tree, folder, entry) for folder, entry in found.files(tree)]
        lines = found.notes(tree)
        first = found.classes[0]
        deeper = bool(tree.folders(first.entry))
    except FolderError as error:
        raise HeadstartError(f"{key}: {error}") from None
    listing = pd.DataFrame(rows, columns=["id", "path", "label", "split"], dtype="str")
    place = f"{dataset.folder}/{first.entry.name}" if foreign else first.entry.path
    hint = f"set {key} to {place}, which has subfolders"
    if first.part:
        hint = "set dataset.classes: inner to have the labels from the folders in it"
    where = f"{key} {root if foreign else dataset.path}"
    _require_classes(listing, where, least, f", or {hint}" if deeper else "")
    return listing, lines


def _row(tree: Tree, folder: layout.ClassFolder, entry: "os.DirEntry[str]") -> tuple[str, ...]:
    """id, path, label and split of a file."""
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        raise FolderError(
            f"file name {os.fsencode(entry.path)!r} is not valid UTF-8; rename it"
        ) from None
    return tree.relative(entry), entry.path, folder.label, folder.part
