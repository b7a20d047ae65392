"""Room on the disk: taken before it is written, and missed in words that a user understands."""

import errno
import os
import shutil
from pathlib import Path

from headstart import HeadstartError

_FULL = (errno.ENOSPC, errno.EDQUOT)
# What libraries that hide the error number say of a full disk: safetensors, SQLite, NumPy.
_TEXTS = ("no space left", "database or disk is full", "requested and")


def reserve(path: Path, size: int) -> None:
    """Take `size` bytes for a file that is there; a mapped file would end the process instead.

    Raises:
        HeadstartError: there is less room.
    """
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise HeadstartError(_message(path, f"needs {size:,} bytes")) from None


def told(error: BaseException, folder: Path) -> str | None:
    """A full disk as a message that names the place; nothing for any other error.

    Args:
        folder: in which the process writes, for an error that names no file.
    """
    full = isinstance(error, OSError) and error.errno in _FULL
    if not full and not any(text in str(error).lower() for text in _TEXTS):
        return None
    name = getattr(error, "filename", None)
    return _message(Path(os.fsdecode(name)) if name else folder, "needs more")


def _message(path: Path, needs: str) -> str:
    free = shutil.disk_usage(path.parent).free
    return (
        f"the disk is full: {path} {needs}, and {free:,} bytes are free there; make space and "
        "run the same command again, which goes on from what is done"
    )
