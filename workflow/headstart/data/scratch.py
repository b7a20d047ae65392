"""Copies of mapped files on a node's own disk, for nodes that share a slower file system."""

import logging
import os
import shutil
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger(__name__)

_CHUNK = 1 << 24


def copied(path: Path, content: str, folder: Path) -> Path:
    """The file's copy in a folder of this node, which the first process that asks for it makes.

    The others wait for it. A copy has its name only when it is whole, and stays for later jobs.

    Args:
        content: a digest of what the file holds, which names the copy.

    Returns:
        The copy; the file itself, and one line of log, where the folder cannot take it.
    """
    copy = folder / f"headstart-{os.getuid()}" / f"{content[:32]}{path.suffix}"
    try:
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(copy.with_suffix(".lock")):
            if not copy.exists():
                _copy(path, copy)
    except OSError as error:
        logger.warning("no copy in %s (%s): reading %s itself", folder, error.strerror, path)
        return path
    logger.info("reading %s, this node's copy of %s", copy, path)
    return copy


def _copy(path: Path, copy: Path) -> None:
    size, part = path.stat().st_size, copy.with_suffix(".part")
    try:
        with path.open("rb") as source, part.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # room for all of it, or none taken
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    logger.info("copied %s bytes to %s", f"{size:,}", copy)
