"""Pictures that a user names: files, and what folders hold."""

import os
from collections.abc import Sequence
from pathlib import Path

from headstart import HeadstartError
from headstart.data import decoding, names


def find(given: Sequence[str]) -> list[Path]:
    """The files among `given`, and the images in and below the folders among them, by name.

    Raises:
        HeadstartError: names what is not there and the folders that hold no image.
    """
    found: list[Path] = []
    missing = []
    for name in given:
        if not name:
            raise HeadstartError("IMAGE is empty; give an image file or a folder of images")
        files = [Path(name)] if os.path.isfile(name) else _below(name)
        found += files
        if not files:
            missing.append(f"{name} (a folder without images)" if os.path.isdir(name) else name)
    if missing:
        raise HeadstartError(f"no such image: {', '.join(missing)}")
    return found


def _below(folder: str) -> list[Path]:
    """The images at any depth of a folder, without what systems and programs leave there."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not names.is_junk(name)]
        found += [Path(place, name) for name in files if _is_image(name)]
    return sorted(path for path in found if path.is_file())


def _is_image(name: str) -> bool:
    return not names.is_junk(name) and (names.is_image(name) or decoding.reads(name))
