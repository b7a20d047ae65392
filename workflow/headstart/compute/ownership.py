"""One process at a time works on a run, even where a killed Snakemake has left one behind."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def owner(lock_file: Path) -> Iterator[bool]:
    """Own what the lock file stands for, waiting for another owner to end.

    The kernel frees the lock of a process that dies. A file beside it says who holds it.

    Yields:
        Whether another owner was waited for.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(lock_file), lock_file.with_suffix(".holder")
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        who = holder.read_text() if holder.exists() else "another process"
        logger.warning(
            "%s, left by an earlier start, still works on this run: waiting for it; "
            "once it is ended, this goes on from what it saved last",
            who,
        )
        lock.acquire()
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield waited
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
