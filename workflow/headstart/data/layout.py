"""Layouts: which folders of a source are parts, which are classes, and what lies beside them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headstart import HeadstartError
from headstart.data import names, patterns
from headstart.data.folders import Entry, Folder, FolderError, Tree, counted


class ClassFolder(NamedTuple):
    """A folder whose images are of one class."""

    part: str  # name of the part folder; '' where there is none
    label: str
    entry: Entry


@dataclass(frozen=True)
class Layout:
    """The class folders, and every folder around them, whose own images are of no class."""

    classes: list[ClassFolder]
    around: list[Folder]

    def files(self, tree: Tree) -> Iterator[tuple[ClassFolder, Entry]]:
        """Every file below a class folder, in a fixed order.

        Raises:
            FolderError: a class has no file in any part.
        """
        filled = set()
        for folder in self.classes:
            for entry in tree.files(folder.entry):
                filled.add(folder.label)
                yield folder, entry
        for folder in self.classes:
            if folder.label not in filled:
                raise FolderError(
                    f"class folder {folder.entry.path} holds no files; fill or remove it"
                )

    def notes(self, tree: Tree) -> list[str]:
        """Lines on images that lie beside the class folders, and on folders passed over."""
        beside = [tree.relative(image) for folder in self.around for image in tree.images(folder)]
        taken = {os.fspath(folder) for folder in self.around}
        taken |= {folder.entry.path for folder in self.classes}
        folders = [entry for folder in self.around for entry in tree.folders(folder)]
        passed = [tree.relative(entry) for entry in folders if entry.path not in taken]
        lines = []
        if beside:
            are = "are" if len(beside) > 1 else "is"
            lines.append(
                f"{counted(len(beside), 'image')} beside the class folders {are} left out, as no "
                f"folder says the class: {names.some(beside)}"
            )
        if passed:
            lines.append(f"passed over, as no image in it counts: {names.some(passed)}")
        return lines


def read(tree: Tree, classes: str | None = None, foreign: bool = False) -> Layout:
    """Tell the parts and the classes of a source.

    Args:
        classes: `dataset.classes`, outer or inner, where both could be the classes.
        foreign: the folder came out of an archive, so its layout is not the user's to mend:
            folders without any image are passed over.

    Raises:
        HeadstartError: the patterns leave nothing.
        FolderError: the parts or the classes cannot be told.
    """
    around: list[Folder] = [tree.root]
    folders = _counting(tree, tree.root, foreign)
    if not folders:
        raise no_folders(tree)
    parts, others = part_folders(tree, folders)
    if not parts:
        found = [_class_folder("", entry) for entry in folders]
    else:
        _require_parts(tree, parts, others)
        found = []
        for part in parts:
            inner = _wrapped(tree, part)
            around += [part] if inner is part else [part, inner]
            found += _classes_of_part(tree, part, inner, foreign)
    if classes == "inner":
        around += [folder.entry for folder in found]
        found = [inner for outer in found for inner in _inner_classes(tree, outer, foreign)]
    elif classes is None:
        _require_one_reading(tree, found)
    return Layout(found, around)


def _class_folder(part: str, entry: Entry) -> ClassFolder:
    return ClassFolder(part, names.label(entry.name), entry)


def _counting(tree: Tree, folder: Folder, foreign: bool) -> list[Entry]:
    """The subfolders that can be parts or classes."""
    if foreign:
        return _with_image(tree, folder)
    return [entry for entry in tree.folders(folder) if not tree.is_emptied(entry)]


def _with_image(tree: Tree, folder: Folder) -> list[Entry]:
    return [entry for entry in tree.folders(folder) if tree.has_image(entry)]


def no_folders(tree: Tree) -> HeadstartError:
    """What to say of a source without any folder that could be a class."""
    if tree.patterns:
        return HeadstartError(
            f"{tree.patterns.keys}: nothing is left in a class folder of {tree.root}; "
            "correct the patterns"
        )
    return FolderError(
        f"{tree.root} has no class subfolders, only {tree.count(tree.root)}; expected "
        f"{tree.root}/CLASS/IMAGE, or {tree.root}/PART/CLASS/IMAGE with parts train, val and test"
    )


# Parts


def part_folders(tree: Tree, folders: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Which of a level's folders are parts, and which others hold images, so that both clash.

    A name that says nothing but train, val or test makes a part. One with further words does where
    no other folder holds images, and either all hold class folders or both train and another
    part are there. Where other folders hold images, such names clash with them if train and
    another part share class folders; else they are classes.
    """
    exact = [entry for entry in folders if names.exact_part(entry.name)]
    like = [entry for entry in folders if entry in exact or _is_like_part(tree, entry)]
    if not exact and "train" not in _kinds(like):
        return [], []
    others = [entry for entry in folders if entry not in like and tree.has_image(entry)]
    if exact:
        return like, others
    holding = [entry for entry in like if _with_image(tree, entry)]
    if others:
        clash = _are_several(holding) and _shared(tree, holding)
        return (like, others) if clash else ([], [])
    return (like, []) if _are_several(like) or holding == like else ([], [])


def _are_several(parts: Sequence[Entry]) -> bool:
    """Whether there is a part to train on and another one."""
    kinds = _kinds(parts)
    return "train" in kinds and len(kinds) > 1


def _shared(tree: Tree, parts: Sequence[Entry]) -> list[str]:
    return shared_folders(tree, [_wrapped(tree, part) for part in parts])


def _is_like_part(tree: Tree, entry: Entry) -> bool:
    return names.part(entry.name) is not None and tree.has_image(entry)


def _kinds(parts: Sequence[Entry]) -> set[str]:
    return {kind for entry in parts if (kind := names.part(entry.name))}


def _require_parts(tree: Tree, parts: list[Entry], others: list[Entry]) -> None:
    """Nothing but parts, and one to train on."""
    if others:
        part, rest = repr(parts[0].name), [entry.name for entry in others]
        raise FolderError(
            f"{tree.root} is ambiguous, with both the part folder {part} and {names.some(rest)}; "
            f"rename {part} if it is a class, or leave out what is no part of train, val and test "
            f"with dataset.exclude: {patterns.listed(rest)}"
        )
    if "train" not in _kinds(parts):
        raise FolderError(
            f"{tree.root} has no train part, only {names.some(part.name for part in parts)}; "
            f"rename one to train, or give {parts[0].path} as the source, to be divided"
        )


def _wrapped(tree: Tree, part: Entry) -> Entry:
    """The folder of a part's class folders: the part, or the one folder in it of the same kind."""
    inside = tree.folders(part)
    same = [entry for entry in inside if names.part(entry.name) == names.part(part.name)]
    if len(same) != 1 or not _with_image(tree, same[0]):
        return part
    others = any(tree.has_image(entry) for entry in inside if entry is not same[0])
    return part if others else same[0]


def _classes_of_part(
    tree: Tree, part: Entry, folder: Entry, foreign: bool
) -> Iterator[ClassFolder]:
    """The class folders of a part, which lie in `folder`."""
    found = _counting(tree, folder, foreign)
    if not found:
        raise FolderError(
            f"part folder {folder.path} has no class subfolders, only {tree.count(folder)}; "
            f"expected {folder.path}/CLASS/IMAGE; sort its images, or leave it out with "
            f"dataset.exclude: {patterns.listed([part.name])}"
        )
    _require_no_parts(tree, folder, found)
    for entry in found:
        yield _class_folder(names.label(part.name), entry)


def _require_no_parts(tree: Tree, folder: Entry, classes: Sequence[Entry]) -> None:
    """A class may be called train, but not hold folders, nor stand among none but such names."""
    like = [entry for entry in classes if names.exact_part(entry.name)]
    wrong = [entry for entry in like if len(like) == len(classes) or tree.folders(entry)]
    if wrong:
        raise FolderError(
            f"{folder.path} holds the part folder {wrong[0].name!r} where class folders are "
            "expected; move it up, rename it, or leave it out with dataset.exclude"
        )


# Classes


def _inner_classes(tree: Tree, outer: ClassFolder, foreign: bool) -> Iterator[ClassFolder]:
    found = _counting(tree, outer.entry, foreign)
    if not found:
        raise FolderError(
            f"{outer.entry.path} holds no folders, of which dataset.classes: inner takes the "
            "labels; sort its images into class folders, or leave it out with dataset.exclude"
        )
    _require_no_parts(tree, outer.entry, found)
    for entry in found:
        yield _class_folder(outer.part, entry)


def _require_one_reading(tree: Tree, classes: Sequence[ClassFolder]) -> None:
    """Not the same folders in every class folder, which could be the classes as well."""
    labels = dict.fromkeys(folder.label for folder in classes)
    shared = shared_folders(tree, [folder.entry for folder in classes])
    if len(labels) < 2 or len(shared) < 2:
        return
    outer, inner = names.some(labels), names.some(shared)
    if all(map(names.exact_part, shared)):
        raise FolderError(
            f"{tree.root} has parts within the classes, {inner} in each of {outer}; turn the "
            f"folders round, {tree.root}/PART/CLASS/IMAGE, or set dataset.classes: outer to take "
            "all images of a class together"
        )
    masks = "; folders of masks are left out with dataset.exclude"
    raise FolderError(
        f"{tree.root} can be read in two ways, with the folders {inner} in each of {outer}; set "
        f"dataset.classes: outer for the labels {outer}, or dataset.classes: inner for {inner}"
        f"{masks if any(map(names.is_mask_folder, shared)) else ''}"
    )


def shared_folders(tree: Tree, folders: Sequence[Entry]) -> list[str]:
    """Names, at least two or none, of folders of images that each of the folders holds."""
    if not _common(tree.folders(folder) for folder in folders):
        return []
    return _common(_with_image(tree, folder) for folder in folders)


def _common(levels: Iterator[list[Entry]]) -> list[str]:
    """Names, at least two or none, that all levels have; none is read once that is clear."""
    shared = {names.label(entry.name) for entry in next(levels)}
    for level in levels:
        if len(shared) < 2:
            break
        shared &= {names.label(entry.name) for entry in level}
    return sorted(shared) if len(shared) > 1 else []
