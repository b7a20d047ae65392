"""Measuring two sides in turns, each in a process with the environment that it runs in."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from headstart.compute import devices

P = ParamSpec("P")
T = TypeVar("T")

#: What the workflow sets for its jobs; the tutorial runs in the environment as it is.
HEADSTART = {"GLIBC_TUNABLES": os.getenv("GLIBC_TUNABLES", devices.GLIBC_TUNABLES)}
TUTORIAL: dict[str, str] = {}


class Side:
    """A process that stays for several measurements: memory and kernels are warm, as in a run."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            self._pool.submit(os.getpid).result()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of a module in the process; arguments and result are pickled."""
        return self._pool.submit(function, *args, **kwargs).result()

    def end(self) -> None:
        self._pool.shutdown()


@contextmanager
def process(environment: Mapping[str, str]) -> Iterator[Side]:
    side = Side(environment)
    try:
        yield side
    finally:
        side.end()


def interleaved(
    measures: Mapping[str, Callable[[], T]], repeats: int, uncounted: int = 1
) -> dict[str, list[T]]:
    """What each function returns in each repeat, called in turns.

    Args:
        uncounted: rounds before the first that counts, in which memory and kernels get warm.
    """
    results: dict[str, list[T]] = {name: [] for name in measures}
    for repeat in range(uncounted + repeats):
        for name, measure in measures.items():
            value = measure()
            if repeat >= uncounted:
                results[name].append(value)
    return results
