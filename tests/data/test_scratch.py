"""A node's own copy of a mapped file: made once, whole or not at all, never in the way."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from headstart.data import scratch

CONTENT = "0123456789abcdef" * 4
COPY = """
import logging, sys
from pathlib import Path
from headstart.data import scratch
logging.basicConfig(stream=sys.stdout, format="log %(message)s", level=logging.INFO)
print("begins", flush=True)
print(scratch.copied(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])), flush=True)
"""


def start(path: Path, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", COPY, str(path), CONTENT, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "shared/images.bin"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 4096)
    return path


def test_two_processes_at_the_same_time_copy_once(images, tmp_path, caplog):
    caplog.set_level("INFO")
    copy = scratch.copied(images, CONTENT, tmp_path / "node")
    assert caplog.text.count("copied 1,048,576 bytes") == 1
    copy.unlink()
    with FileLock(copy.with_suffix(".lock")):
        both = [start(images, tmp_path / "node") for _ in range(2)]
        assert [process.stdout.readline() for process in both] == ["begins\n"] * 2
        assert not copy.exists()
    said = "".join(process.communicate(timeout=60)[0] for process in both)
    assert said.count("log copied 1,048,576 bytes") == 1
    assert said.count(f"\n{copy}\n") == 2
    assert copy.read_bytes() == images.read_bytes()


def test_a_half_copy_is_not_taken_for_a_whole_one(images, tmp_path):
    with images.open("r+b") as file:
        file.truncate(1 << 29)  # long enough to be killed at it
    killed = start(images, tmp_path / "node")
    while not (parts := list(tmp_path.glob("node/*/*.part"))):
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert parts[0].exists() and not parts[0].with_suffix(".bin").exists()
    with images.open("r+b") as file:
        file.truncate(1 << 20)
    copy = scratch.copied(images, CONTENT, tmp_path / "node")
    assert copy.read_bytes() == images.read_bytes()
    assert not parts[0].exists()


def test_other_content_has_another_copy(images, tmp_path):
    first = scratch.copied(images, CONTENT, tmp_path / "node")
    images.write_bytes(b"other")
    assert scratch.copied(images, CONTENT[::-1], tmp_path / "node").read_bytes() == b"other"
    assert first.stat().st_size == 1 << 20


def test_where_there_is_no_room_the_file_itself_is_read(images, tmp_path, caplog):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        assert scratch.copied(images, CONTENT, folder) == images
        assert not list(folder.glob("*/*.part")) and not list(folder.glob("*/*.bin"))
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    expected = f"no copy in {folder} (No space left on device): reading {images} itself"
    assert [record.message for record in caplog.records] == [expected]


def test_where_nothing_can_be_written_the_file_itself_is_read(images, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert scratch.copied(images, CONTENT, tmp_path / "file") == images
    assert "(Not a directory)" in caplog.text and len(caplog.records) == 1
