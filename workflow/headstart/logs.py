"""Logging of one job: to its log file and to the terminal, tracebacks included."""

import contextlib
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from headstart import HeadstartError, disk

logger = logging.getLogger("headstart")


def append(log_file: str | Path) -> list[logging.Handler]:
    """Send this process's messages to stderr and to the end of `log_file` from now on."""
    handlers: list[logging.Handler] = [
        logging.FileHandler(log_file, mode="a", encoding="utf-8"),
        logging.StreamHandler(sys.stderr),
    ]
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers[1].setFormatter(logging.Formatter("  %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for handler in handlers:
        root.addHandler(handler)
    return handlers


def last_words(log_file: Path) -> str:
    """What an ended job's log says last: its error's one line, or the end of a traceback."""
    if not log_file.exists():
        return ""
    lines = [line for line in log_file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].rpartition(": error: ")[2].strip() if lines else ""


@contextlib.contextmanager
def job(log_file: str | Path) -> Iterator[None]:
    """Send messages to `log_file` and stderr while the block runs.

    A HeadstartError ends the process with its one line, and so does a full disk; any other
    exception goes to both places with its traceback. SIGTERM, by which a cluster ends a job,
    becomes SystemExit, so that what the block has open is closed.
    """
    Path(log_file).write_text("")
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    handlers = append(log_file)
    try:
        yield
    except HeadstartError as error:
        logger.error("error: %s", error)
        sys.exit(1)
    except Exception as error:
        if full := disk.told(error, Path(log_file).parent):
            logger.error("error: %s", full)
        else:
            logger.exception("the job failed")
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)
        for handler in handlers:
            handler.flush()
