"""A pretended cluster for the tests of this folder."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Unavailable, install

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        install()
    except Unavailable as reason:
        pytest.skip(str(reason))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which ends what was started, too
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
