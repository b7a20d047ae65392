"""How random inputs are tried: a few in `make test`, many in `make test-faults`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings

from headstart import HeadstartError

_MEMORY = Path("/dev/shm")  # some file systems take milliseconds to remove a folder

_USUAL = 100  # hypothesis' own number of examples


def amount(examples: int) -> settings:
    """So many random inputs, or ten times as many."""
    return settings(
        max_examples=examples * settings.default.max_examples // _USUAL,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder for one example."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as path:
        yield Path(path)


@contextmanager
def only_own_errors() -> Iterator[None]:
    """Around what may refuse its input, but in no other way than in one line."""
    try:
        yield
    except HeadstartError as error:
        assert len(f"{error}.".splitlines()) == 1 and str(error).encode()
