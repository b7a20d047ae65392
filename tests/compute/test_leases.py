"""Leases: one job per GPU, freed by death."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.compute import leases

LEASE = """
import logging, sys
from pathlib import Path
from headstart.compute import leases
logging.basicConfig(stream=sys.stdout, format="log %(message)s", level=logging.INFO)
with leases.lease({count}, Path({folder!r})) as names:
    assert "torch" not in sys.modules
    import os
    print("has", ",".join(names), os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.readline()
print("done", flush=True)
"""


class Job:
    """A process that leases devices and holds them until told to end."""

    def __init__(self, folder: Path, count: int = 1, visible: str = "0,1") -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEASE.format(count=count, folder=str(folder))],
            env=environment | {"CUDA_VISIBLE_DEVICES": visible},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def devices(self) -> str:
        """Wait for the lease, past the log lines."""
        while (line := self.line()).startswith("log"):
            pass
        assert line.startswith("has "), line
        _, names, visible = line.split(" ")
        assert names == visible
        return names

    def end(self) -> None:
        self.process.communicate("\n", timeout=20)


@pytest.fixture
def jobs(tmp_path):
    started: list[Job] = []

    def start(**options: object) -> Job:
        started.append(Job(tmp_path / "locks", **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for job in started:
        job.process.kill()
        job.process.communicate()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """lease() sets the environment for its process; here that must not outlive a test."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def test_two_jobs_get_two_devices_and_a_third_waits_for_one(jobs):
    first, second = jobs(), jobs()
    held = {first.devices(), second.devices()}
    assert held == {"0", "1"}
    third = jobs()
    assert "waiting for a free one" in third.line()
    assert third.process.poll() is None
    freed = first.process
    first.end()
    assert freed.returncode == 0
    assert third.devices() in held


def test_a_killed_holder_frees_its_device(jobs):
    first = jobs(count=2)
    assert first.devices() == "0,1"
    waiting = jobs()
    assert "waiting" in waiting.line()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert waiting.devices() == "0"


def test_two_greedy_jobs_take_turns(jobs):
    """Each wants both devices: taking them one by one would block both for ever."""
    first, second = jobs(count=2), jobs(count=2)
    holder, other = (first, second) if not first.line().endswith("free one") else (second, first)
    holder.end()
    while (line := other.line()).startswith("log"):
        pass
    assert line == "has 0,1 0,1"


def test_a_partly_free_pool_is_not_held_while_waiting(jobs):
    holder = jobs()
    held = holder.devices()
    greedy = jobs(count=2)
    assert "waiting" in greedy.line()
    modest = jobs()
    assert {modest.devices(), held} == {"0", "1"}


def test_the_lease_ends_with_its_block(tmp_path):
    for _ in range(3):
        with leases.lease(2, tmp_path) as names:
            assert names == ["0", "1"]
        os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"


def test_an_error_in_the_job_frees_the_device(tmp_path):
    with pytest.raises(ZeroDivisionError), leases.lease(2, tmp_path):
        raise ZeroDivisionError
    os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"
    with leases.lease(2, tmp_path) as names:
        assert len(names) == 2


@pytest.mark.parametrize(("count", "visible"), [(0, "0,1"), (1, ""), (1, "-1"), (2, " ")])
def test_no_device_means_the_cpu(tmp_path, monkeypatch, count, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with leases.lease(count, tmp_path) as names:
        assert names == [] and os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert list(tmp_path.iterdir()) == []


def test_no_driver_means_the_cpu(tmp_path, monkeypatch):
    import pynvml

    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert leases.visible() == []
    with leases.lease(1, tmp_path) as names:
        assert names == []


def test_more_devices_than_visible_is_one_line(tmp_path):
    with pytest.raises(HeadstartError) as caught, leases.lease(3, tmp_path):
        pass
    text = str(caught.value)
    assert "asks for 3 GPUs, but 2 are visible" in text and "\n" not in text


def test_slurm_assigns(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with leases.lease(2, tmp_path) as names:
        assert names == ["0", "1"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert list(tmp_path.iterdir()) == []


def test_an_allocation_shared_by_several_jobs_is_leased(tmp_path, monkeypatch):
    """In a Slurm allocation of two devices, two jobs of one each must not meet."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with leases.lease(1, tmp_path) as names:
        assert names == ["0"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_one_device_has_one_lock_under_any_name(monkeypatch):
    monkeypatch.setattr(leases, "_uuids", lambda: ["GPU-aaa1", "GPU-bbb2"])
    assert leases.visible() == [("0", "GPU-aaa1"), ("1", "GPU-bbb2")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, GPU-aaa1")
    assert leases.visible() == [("1", "GPU-bbb2"), ("GPU-aaa1", "GPU-aaa1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb")  # CUDA takes any unambiguous beginning
    assert leases.visible() == [("GPU-bb", "GPU-bbb2")]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [lock for _, lock in leases.visible()] == ["GPU-aaa1", "GPU-bbb2"]
