"""Roots: the folder of a source's classes or table, downloaded and unpacked if need be."""

import hashlib
import importlib.util
import os
from pathlib import Path, PurePosixPath

from filelock import FileLock

from headstart import HeadstartError
from headstart.data import archives, cifar, downloads, layout, patterns
from headstart.data.folders import FolderError, Tree
from headstart.experiment.config import Dataset, Table


def local(dataset: Dataset) -> Path:
    """The folder of a local source.

    Raises:
        HeadstartError: it is not there.
    """
    if dataset.source == "package":
        assert dataset.package and dataset.table  # the schema requires both
        return _package_folder(dataset.package, dataset.table)
    assert dataset.path  # the schema requires it
    root = Path(os.path.expanduser(dataset.path))
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.isfile(root) else "does not exist"
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
        if os.path.isfile(root / table.file):
            return root
    raise HeadstartError(
        f"dataset.table.file: {table.file} is not in the package, looked in {roots[0]}"
    )


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


def unpacked(dataset: Dataset, folder: Path) -> Path:
    """The folder of the classes or the table, in a fetched archive.

    Args:
        folder: where downloads are kept.

    Raises:
        HeadstartError: nothing can be fetched, or the classes or the table are not found in it.
    """
    if dataset.source == "torchvision":
        assert dataset.name  # the schema requires it
        address, expected = cifar.origin(dataset.name)
        return _keep(dataset.address or address, expected, folder, dataset.name)
    assert dataset.address  # the schema requires it
    tree = Tree(_keep(dataset.address, dataset.hash, folder, None))
    try:
        if dataset.folder:
            return _given(tree, dataset.folder)
        if dataset.table:
            return tree.find_file(dataset.table.file)
        return _find_root(tree.root, dataset)
    except FolderError as error:
        key = "dataset.table.file" if dataset.table and not dataset.folder else "dataset.folder"
        raise HeadstartError(f"{key}: {error}") from None


def _given(tree: Tree, folder: str) -> Path:
    root = tree.root / folder
    if not os.path.isdir(root):
        raise FolderError(
            f"{folder!r} is no folder of the archive, which holds {tree.contents(tree.root)}"
        )
    return root


def _find_root(here: Path, dataset: Dataset) -> Path:
    """The folder of class or part folders, `here` or reached through single wrapping folders.

    Hidden and system files, files that are no images, folders without any image and what the
    patterns leave out do not count; the patterns start from the folder in question.

    Raises:
        HeadstartError: the patterns leave nothing.
        FolderError: more than one folder could be meant; lists what was found.
    """
    tree = Tree(here, patterns.of(dataset))
    folders = [entry for entry in tree.folders(here) if tree.has_image(entry)]
    if tree.patterns and not folders:
        raise layout.no_folders(tree)
    wrapping = len(folders) == 1 and any(map(tree.has_image, tree.folders(folders[0])))
    parts, others = layout.part_folders(tree, folders)
    if parts and not others:
        return here
    if folders and not wrapping and all(map(tree.images, folders)):
        return here
    if len(folders) > 1 and (dataset.classes or layout.shared_folders(tree, folders)):
        return here
    if wrapping and not tree.images(here):
        return _find_root(here / folders[0].name, dataset)
    raise FolderError(
        f"{here} does not tell where the classes are: it holds {tree.contents(here)}; set "
        "dataset.folder to the folder, inside the archive, of the class or train, val and test "
        "folders, or leave what is neither out with dataset.exclude"
    )


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
