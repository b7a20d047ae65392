"""Which GPUs a job may use.

A job leases its GPUs through one lock file per device before torch is imported. The kernel
frees a lock whose holder dies, so a killed job never blocks a device.
"""

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from headstart import HeadstartError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5


def visible() -> list[tuple[str, str]]:
    """The GPUs this process may use, as (value for CUDA_VISIBLE_DEVICES, lock name) pairs.

    CUDA_VISIBLE_DEVICES bounds the pool where it is set. Locks are named by UUID, so that two
    schedulers' different numbering of one machine's devices never makes two names for one; a
    beginning of a UUID, which CUDA takes too, stands for the whole.
    """
    uuids = _uuids()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [(str(index), uuid) for index, uuid in enumerate(uuids)]
    entries = [entry.strip() for entry in allowed.split(",") if entry.strip()]
    known = {str(index): uuid for index, uuid in enumerate(uuids)}
    for entry in entries:
        known.setdefault(entry, next((uuid for uuid in uuids if uuid.startswith(entry)), entry))
    return [(entry, known[entry]) for entry in entries if entry != "-1"]


def _uuids() -> list[str]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [
            str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))
            for index in range(pynvml.nvmlDeviceGetCount())
        ]
    finally:
        pynvml.nvmlShutdown()


@contextlib.contextmanager
def lease(count: int, locks: Path | None = None) -> Iterator[list[str]]:
    """Hold `count` GPUs for this process and make only them visible to it.

    Must be entered before torch is imported. With count 0, or on a machine without a GPU, the
    job runs on the CPU. Under Slurm, as many devices as asked for are taken as assigned.

    Args:
        locks: folder of the lock files; by default one per user in the temporary folder.

    Yields:
        The leased devices as CUDA_VISIBLE_DEVICES names them; empty for the CPU.

    Raises:
        HeadstartError: more devices are asked for than are visible.
    """
    pool = visible() if count else []
    if not pool:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        logger.info("no GPU %s: computing on the CPU", "is visible" if count else "was asked for")
        yield []
        return
    if len(pool) < count:
        raise HeadstartError(
            f"the job asks for {count} GPUs, but {len(pool)} are visible; "
            f"lower training.gpus or give --resources gpu={len(pool)}"
        )
    if "SLURM_JOB_ID" in os.environ and len(pool) == count:
        names = [name for name, _ in pool]
        logger.info("Slurm assigned GPU %s", ", ".join(names))
        yield names
        return
    folder = locks or Path(tempfile.gettempdir()) / f"headstart-devices-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        names = _acquire(pool, count, folder, held)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
        logger.info("leased GPU %s", ", ".join(names))
        yield names


def _acquire(
    pool: list[tuple[str, str]], count: int, folder: Path, held: contextlib.ExitStack
) -> list[str]:
    """Take `count` free devices together or none of them, waiting until that works."""
    waiting = False
    while True:
        with contextlib.ExitStack() as attempt:
            names = []
            for name, uuid in pool:
                lock = FileLock(folder / f"{uuid}.lock", timeout=0)
                with contextlib.suppress(Timeout):
                    attempt.enter_context(lock)
                    names.append(name)
                if len(names) == count:
                    held.push(attempt.pop_all())
                    return names
        if not waiting:
            logger.info("all %d GPUs are taken: waiting for a free one", len(pool))
            waiting = True
        time.sleep(_POLL_SECONDS)
