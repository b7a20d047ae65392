"""Sources: where images come from, listed without opening a single one."""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from headstart import HeadstartError
from headstart.config import Dataset, Table, Threshold

COLUMNS = ["id", "path", "label", "split"]
PARTS = {"train", "val", "valid", "validation", "test"}
_SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "whitespace": r"\s+"}
_JUNK = {"Thumbs.db", "desktop.ini", "__MACOSX"}


def list_images(dataset: Dataset) -> pd.DataFrame:
    """List the images of a source, sorted by id. Whether they can be read is for the manifest.

    Returns:
        One row per file, all columns strings: `id` (path relative to the source, posix),
        `path` (openable from the working directory), `label`, `split` (the source's own
        part folder, '' if none).

    Raises:
        HeadstartError: the source is not there, or not laid out as the settings say.
    """
    if dataset.source == "package":
        listing = _list_package(_package_name(dataset), _table(dataset))
    else:
        listing = _list_folder(_root(dataset))
    listing = listing.sort_values("id", ignore_index=True)
    _require_unique(listing)
    if (count := listing["label"].nunique()) < 2:
        raise HeadstartError(
            f"{_where(dataset)}: found only one class, {listing['label'].iloc[0]!r}; "
            f"give at least two{_hint(dataset)}"
            if count
            else f"{_where(dataset)}: lists no images"
        )
    return listing


def fingerprint(dataset: Dataset) -> str:
    """A short hash that changes when the source's files do.

    For a folder it covers each listed file's relative path, size and modification time; for
    a package the distribution's name and version, or its files where no distribution owns it.

    Raises:
        HeadstartError: the source is not there, or a folder is not laid out as expected.
    """
    digest = hashlib.sha256()
    if dataset.source == "package":
        name = _package_name(dataset)
        root = _locate(name, _table(dataset).file)
        owners = importlib.metadata.packages_distributions().get(name.partition(".")[0], [])
        for owner in sorted(set(owners)):
            digest.update(f"{owner} {importlib.metadata.version(owner)}\n".encode())
        entries = iter(()) if owners else _files(root, set())
    else:
        root = _root(dataset)
        entries = (entry for _, _, entry in _labelled(root))
    for entry in entries:
        stat = entry.stat(follow_symlinks=os.path.exists(entry))
        line = f"{_relative(entry, root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _where(dataset: Dataset) -> str:
    if dataset.source == "package":
        return f"dataset.table.label ({_table(dataset).label!r} of {_table(dataset).file})"
    return f"dataset.path {dataset.path}"


def _hint(dataset: Dataset) -> str:
    """Where the classes may be, if the one class folder holds folders itself."""
    if dataset.source == "package":
        return ""
    folder = _class_folders(_root(dataset))[0][1]
    deeper = any(_kind(entry) == "folder" for entry in _scan(folder))
    return f", or set dataset.path to {folder.path}, which has subfolders" if deeper else ""


def _require_unique(listing: pd.DataFrame) -> None:
    repeated = listing["id"][listing["id"].duplicated()]
    if len(repeated):
        raise HeadstartError(f"dataset.table lists {repeated.iloc[0]!r} twice; keep one row")


# Packages


def _package_name(dataset: Dataset) -> str:
    assert dataset.package is not None  # the schema requires it of this source
    return dataset.package


def _table(dataset: Dataset) -> Table:
    assert dataset.table is not None  # the schema requires it of this source
    return dataset.table


def _locate(package: str, table: str) -> Path:
    """Folder of an installed package, found without importing it."""
    top, *inner = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise HeadstartError(
            f"dataset.package: no package {package!r} is installed here; install it, "
            "or give its import name if you gave another"
        )
    roots = [Path(place, *inner) for place in places]
    for root in roots:
        if (root / table).is_file():
            return root
    raise HeadstartError(f"dataset.table.file: {table} is not in the package, looked in {roots[0]}")


def _list_package(package: str, table: Table) -> pd.DataFrame:
    root = _locate(package, table.file)
    rows = _read_table(root / table.file, table)
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
    return pd.DataFrame({"id": ids, "path": paths, "label": labels, "split": ""}, dtype="str")


def _read_table(path: Path, table: Table) -> pd.DataFrame:
    """Every cell as stripped text."""
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
            f"dataset.table.file: {path} is no {table.separator}-separated text: "
            f"{' '.join(str(error).split())}"
        ) from None
    if table.columns:
        if len(table.columns) != rows.shape[1]:
            raise HeadstartError(
                f"dataset.table.columns names {len(table.columns)} columns, "
                f"but {path} has {rows.shape[1]} when {table.separator}-separated"
            )
        rows.columns = pd.Index(table.columns)
    return rows.rename(columns=str.strip).apply(lambda column: column.str.strip())


def _require_columns(rows: pd.DataFrame, names: list[str], key: str, table: Table) -> None:
    for name in names:
        if name not in rows.columns:
            raise HeadstartError(
                f"dataset.table.{key}: {table.file} has no column {name!r}; "
                f"it has {', '.join(rows.columns)}"
            )


def _two_classes(labels: pd.Series, threshold: Threshold) -> pd.Series:
    numbers = pd.to_numeric(labels, errors="coerce")
    if (wrong := numbers.isna()).any():
        raise HeadstartError(
            f"dataset.table.threshold: {labels.name!r} holds {labels[wrong].iloc[0]!r}, "
            "which is no number"
        )
    return (numbers < threshold.at).map({True: threshold.below, False: threshold.otherwise})


# Folders


def _root(dataset: Dataset) -> Path:
    assert dataset.path is not None  # the schema requires it of this source
    root = Path(dataset.path).expanduser()
    if not root.is_dir():
        what = "is a file, not a folder" if root.is_file() else "does not exist"
        raise HeadstartError(f"dataset.path: {root} {what}; give a folder of class subfolders")
    return root


def _list_folder(root: Path) -> pd.DataFrame:
    rows = []
    for label, part, entry in _labelled(root):
        try:
            entry.path.encode()
        except UnicodeEncodeError:
            raise HeadstartError(
                f"dataset.path: file name {os.fsencode(entry.path)!r} is not valid UTF-8; rename it"
            ) from None
        rows.append((_relative(entry, root), entry.path, label, part))
    return pd.DataFrame(rows, columns=COLUMNS, dtype="str")


def _labelled(root: Path) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """(label, part, file) of every file below a class folder, in a fixed order.

    Every class must hold a file in at least one part.
    """
    folders = _class_folders(root)
    filled = set()
    for part, folder in folders:
        for entry in _files(folder, {_identity(root), _identity(folder)}):
            filled.add(folder.name)
            yield folder.name, part, entry
    for _, folder in folders:
        if folder.name not in filled:
            raise HeadstartError(
                f"dataset.path: class folder {folder.path} holds no files; fill or remove it"
            )


def _class_folders(root: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """(part, class folder) pairs; part is '' where the source has no part folders."""
    found = _scan(root)
    folders = [entry for entry in found if _kind(entry) == "folder"]
    if not folders:
        raise HeadstartError(
            f"dataset.path: {root} has no class subfolders, only {_count(found)}; expected "
            f"{root}/CLASS/IMAGE, or {root}/PART/CLASS/IMAGE with parts train, val and test"
        )
    parts = [entry for entry in folders if entry.name.lower() in PARTS]
    if not parts:
        return [("", entry) for entry in folders]
    if others := [entry.name for entry in folders if entry not in parts]:
        raise HeadstartError(
            f"dataset.path: {root} is ambiguous, with both the part folder {parts[0].name!r} and "
            f"{others[0]!r}; have either class folders or train, val and test, and rename the rest"
        )
    pairs = []
    for part in parts:
        inside = _scan(part)
        classes = [entry for entry in inside if _kind(entry) == "folder"]
        if not classes:
            raise HeadstartError(
                f"dataset.path: part folder {part.path} has no class subfolders, only "
                f"{_count(inside)}; expected {part.path}/CLASS/IMAGE"
            )
        pairs += [(part.name, entry) for entry in classes]
    return pairs


def _count(entries: list[os.DirEntry[str]]) -> str:
    return f"{len(entries)} file{'' if len(entries) == 1 else 's'}"


def _files(
    folder: Path | os.DirEntry[str], seen: set[tuple[int, int]]
) -> Iterator[os.DirEntry[str]]:
    """Files at any depth. `seen` holds folders already entered, so that links cannot loop."""
    for entry in _scan(folder):
        kind = _kind(entry)
        if kind == "file":
            yield entry
        elif kind == "folder" and (identity := _identity(entry)) not in seen:
            seen.add(identity)
            yield from _files(entry, seen)


def _scan(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name, without hidden and system files."""
    try:
        with os.scandir(folder) as entries:
            kept = [e for e in entries if not e.name.startswith(".") and e.name not in _JUNK]
    except OSError as error:
        raise HeadstartError(
            f"dataset.path: {os.fspath(folder)} cannot be read ({error.strerror})"
        ) from None
    return sorted(kept, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry[str]) -> str:
    """'folder', 'file' or 'other'. A dangling link is a file: one that cannot be read."""
    try:
        if entry.is_dir():
            return "folder"
        regular = entry.is_file()
    except OSError:
        regular = False
    dangling = entry.is_symlink() and not os.path.exists(entry)
    return "file" if regular or dangling else "other"


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    stat = os.stat(folder)
    return stat.st_dev, stat.st_ino


def _relative(entry: os.DirEntry[str], root: Path) -> str:
    return entry.path[len(os.path.join(root, "")) :].replace(os.sep, "/")
