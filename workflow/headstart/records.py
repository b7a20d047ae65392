"""Records of finished jobs, read so that a damaged one is told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart import HeadstartError


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Around what reads a record and takes its values out.

    Raises:
        HeadstartError: the file is missing, cut off, or lacks a value.
    """
    try:
        yield path
    except OSError as error:
        raise HeadstartError(
            f"{path} cannot be read ({error.strerror}); run snakemake again, which makes it anew"
        ) from None
    except (LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise HeadstartError(
            f"{path} is damaged ({reason}); delete it and run snakemake again, which makes it anew"
        ) from None
