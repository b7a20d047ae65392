"""Sources: where images come from, listed without opening a single one."""

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd
from filelock import FileLock

from headstart import HeadstartError
from headstart.data import archives, cifar, downloads, folders, tables
from headstart.experiment.config import Dataset, Table

_LOCAL = {"package", "folder", "csv"}


def is_local(dataset: Dataset) -> bool:
    """Whether the images can be listed as they are, without fetching or unpacking anything."""
    return dataset.source in _LOCAL


def list_images(dataset: Dataset) -> pd.DataFrame:
    """List the images of a local source, sorted by id. Whether they can be read is for the
    manifest.

    Returns:
        One row per file, all columns strings: `id` (path relative to the source, posix),
        `path` (openable from the working directory), `label`, `split` (the source's own
        part, '' if none).

    Raises:
        HeadstartError: the source is not there, or not laid out as the settings say.
    """
    return _list(dataset, _local_root(dataset))


def fetch(dataset: Dataset, folder: Path) -> pd.DataFrame:
    """List the images of any source, after downloading and unpacking what is not here yet.

    Args:
        folder: where downloads are kept. One subfolder per address, shared by all experiments
            and used by one process at a time.

    Returns:
        As `list_images`.

    Raises:
        HeadstartError: nothing can be fetched, or it is not laid out as the settings say.
    """
    if is_local(dataset):
        return list_images(dataset)
    check_address(dataset)
    return _list(dataset, _unpacked(dataset, folder))


def check_address(dataset: Dataset) -> None:
    """Check what can be checked of an archive's address without a network.

    Raises:
        HeadstartError: a local archive is not there; the address, hash or folder makes no sense.
    """
    if dataset.address:
        downloads.local_file(dataset.address)
    if dataset.hash:
        downloads.digest(dataset.hash)
    if dataset.folder and (
        dataset.folder.startswith("/") or ".." in PurePosixPath(dataset.folder).parts
    ):
        raise HeadstartError(
            f"dataset.folder is {dataset.folder!r}; give a path inside the archive"
        )


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
        root = _local_root(dataset)
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
        return (entry.path for entry in folders.files(root, set()))
    if dataset.table:
        texts = map(os.fspath, tables.files(root, dataset.table))
        return [*texts, *tables.list_images(root, dataset.table)["path"].sort_values()]
    try:
        return [entry.path for _, _, entry in folders.labelled(root)]
    except folders.FolderError as error:
        raise HeadstartError(f"dataset.path: {error}") from None


def _list(dataset: Dataset, root: Path) -> pd.DataFrame:
    where = f"dataset.path {dataset.path}" if is_local(dataset) else f"dataset.folder {root}"
    hint = ""
    if table := dataset.table:
        where = f"dataset.table.label ({table.label!r} of {table.file})"
        listing = tables.list_images(root, table)
        repeated = listing["id"][listing["id"].duplicated()]
        if len(repeated):
            raise HeadstartError(f"dataset.table lists {repeated.iloc[0]!r} twice; keep one row")
    else:
        listing, hint = _list_folders(dataset, root)
    if (count := listing["label"].nunique()) < 2:
        raise HeadstartError(
            f"{where}: found only one class, {listing['label'].iloc[0]!r}; give at least two{hint}"
            if count
            else f"{where}: lists no images"
        )
    return listing.sort_values("id", ignore_index=True)


def _list_folders(dataset: Dataset, root: Path) -> tuple[pd.DataFrame, str]:
    """The listing, and where the classes may be if the one class folder holds folders."""
    foreign = not is_local(dataset)
    key = "dataset.folder" if foreign else "dataset.path"
    try:
        listing = folders.list_images(root, foreign)
        first = folders.class_folders(root, foreign)[0][1]
        deeper = folders.has_subfolders(first)
    except folders.FolderError as error:
        raise HeadstartError(f"{key}: {error}") from None
    place = f"{dataset.folder}/{first.name}" if foreign else first.path
    return listing, f", or set {key} to {place}, which has subfolders" if deeper else ""


# Local sources


def _local_root(dataset: Dataset) -> Path:
    if dataset.source == "package":
        assert dataset.package and dataset.table  # the schema requires both
        return _package_folder(dataset.package, dataset.table)
    assert dataset.path  # the schema requires it
    root = Path(dataset.path).expanduser()
    if not root.is_dir():
        what = "is a file, not a folder" if root.is_file() else "does not exist"
        wanted = "the folder of the images" if dataset.table else "a folder of class subfolders"
        raise HeadstartError(f"dataset.path: {root} {what}; give {wanted}")
    return root


def _package_folder(package: str, table: Table) -> Path:
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
        if (root / table.file).is_file():
            return root
    raise HeadstartError(
        f"dataset.table.file: {table.file} is not in the package, looked in {roots[0]}"
    )


# Archives


def _unpacked(dataset: Dataset, folder: Path) -> Path:
    """The folder of the classes or the table, in a fetched archive."""
    if dataset.source == "torchvision":
        assert dataset.name  # the schema requires it
        address, expected = cifar.origin(dataset.name)
        return _keep(dataset.address or address, expected, folder, dataset.name)
    assert dataset.address  # the schema requires it
    top = _keep(dataset.address, dataset.hash, folder, None)
    try:
        if dataset.folder:
            root = top / dataset.folder
            if not root.is_dir():
                raise folders.FolderError(
                    f"{dataset.folder!r} is no folder of the archive, which holds "
                    f"{folders.contents(top)}"
                )
            return root
        if dataset.table:
            return folders.find_file(top, dataset.table.file)
        return folders.find_root(top)
    except folders.FolderError as error:
        key = "dataset.table.file" if dataset.table and not dataset.folder else "dataset.folder"
        raise HeadstartError(f"{key}: {error}") from None


def _keep(address: str, expected: str | None, folder: Path, name: str | None) -> Path:
    """The unpacked content of an archive, kept in a folder named after its digest.

    Args:
        name: class of torchvision.datasets that the archive is for, None for any other archive.
    """
    place = folder / hashlib.sha256(address.encode()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "lock"):
        known = downloads.known_digest(address, expected, place)
        if known and (target := _named(place, known, name)).is_dir():
            return target
        archive, known = downloads.fetch(address, expected, place)
        target = _named(place, known, name)
        if target.is_dir():
            return target
        try:
            if name:
                cifar.write(name, archive, target)
            else:
                archives.extract(archive, target)
        except archives.ArchiveError:
            if archive.parent == place and not expected:
                downloads.forget(archive)  # the first download was not to be trusted
            raise
    return target


def _named(place: Path, digest: str, name: str | None) -> Path:
    kind, _, digits = digest.partition(":")
    return place / "-".join(filter(None, [name, kind, digits[:16]]))
