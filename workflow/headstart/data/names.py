"""What the names of files and folders tell: parts of a data set, junk, images, equal labels."""

import re
import unicodedata
from collections.abc import Iterable

from headstart import one_line

_PARTS = {
    "train": {"train", "training", "tr"},
    "val": {"val", "valid", "validation", "dev", "eval", "evaluation"},
    "test": {"test", "testing"},
}
#: Folders and files that systems, file servers and programs leave beside people's images.
_JUNK = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"),
    *("$recycle.bin", "recycler", "#recycle", "@recycle", "lost+found", "@sharebin", "@tmp"),
    *("@eadir", "@__thumb", "#snapshot", "~snapshot", "@recently-snapshot"),
    *("system volume information", "network trash folder", "temporary items"),
}
_IMAGES = {
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # test|Set, X|Train
_OF_A_PART = re.compile(r"(?:sets?|data|images?|imgs?)$")  # trainset, testimages
_MASK_WORDS = "masks?|seg|segmentations?|labels?|gt|ground_?truths?|annotations?"
_MASK = re.compile(rf"[ _.-]*(?:{_MASK_WORDS})[ _.-]*\d*$", re.I)
_MASK_FOLDER = re.compile(rf"(?:.*[ _.-])?(?:{_MASK_WORDS})", re.I)
_LONGEST = 120


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden, or left by a system, a file server or a program."""
    return name.startswith(".") or name.casefold() in _JUNK


def is_image(name: str) -> bool:
    """Whether a file's ending says that it is an image."""
    return ending(name) in _IMAGES


def ending(name: str) -> str:
    """A file name's ending in lower case, with its dot; '' if it has none."""
    return name[name.rfind(".") :].lower() if "." in name[1:] else ""


def part(name: str) -> str | None:
    """train, val or test, where a folder's name says it, be it in one of several words.

    So do X_train, test-images, TestSet and val2017. A class may be called test_tube: only all
    folders of a level together tell whether such a name is meant as a part.
    """
    if kind := exact_part(name):
        return kind
    words = re.findall(r"[^\W\d_]+", _HUMP.sub(" ", name).casefold())
    kinds = {kind for word in words if (kind := exact_part(_OF_A_PART.sub("", word)))}
    return kinds.pop() if len(kinds) == 1 else None


def exact_part(name: str) -> str | None:
    """train, val or test, where a folder's name or a table's cell says that and nothing else."""
    word = name.strip().casefold()
    return next((kind for kind, words in _PARTS.items() if word in words), None)


def label(name: str) -> str:
    """A class name in Unicode's composed form, NFC: looks decide, not a file system's bytes."""
    return unicodedata.normalize("NFC", name)


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups of different labels that differ only in case, spaces or the form of a number."""
    groups: dict[str, list[str]] = {}
    for each in sorted(set(labels)):
        groups.setdefault(_bare(each), []).append(each)
    return [group for group in groups.values() if len(group) > 1]


def _bare(label: str) -> str:
    folded = unicodedata.normalize("NFKC", label).casefold()
    folded = re.sub(r"[\s_]+|(?<=[^\W\d])-(?=\w)", " ", folded).strip()
    return re.sub(r"(\d+)(?:\.(\d+))?", _plain_number, folded)


def _plain_number(number: re.Match[str]) -> str:
    """1 for 01, 1.0 and 1.00, digit by digit: a class may have a number of any length."""
    fraction = (number[2] or "").rstrip("0")
    return (number[1].lstrip("0") or "0") + (f".{fraction}" if fraction else "")


def stem(path: str) -> str:
    """A posix path without its ending."""
    head, slash, name = path.rpartition("/")
    cut = name.rfind(".")
    return f"{head}{slash}{name[:cut] if cut > 0 else name}"


def unmasked(path: str) -> str:
    """The path's stem without a last word such as mask: what it would be the mask of."""
    return _MASK.sub("", stem(path))


def is_mask_folder(name: str) -> bool:
    """Whether a folder's name says that it holds masks, not photographs."""
    return _MASK_FOLDER.fullmatch(name) is not None


def some(names: Iterable[str], shown: int = 4) -> str:
    """The first few names in quotes, and how many more there are."""
    quoted = [repr(short(one_line(name))) for name in names]
    more = f" and {len(quoted) - shown:,} more" if len(quoted) > shown else ""
    if more or len(quoted) < 2:
        return ", ".join(quoted[:shown]) + more
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def short(name: str) -> str:
    """A name, or the end of a very long one."""
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
