"""A full disk, on a file system that is really full: one line, nothing half-written, and on."""

import subprocess
import sys
from pathlib import Path

import pytest

from headstart import HeadstartError, disk

SIZE = 1 << 20


@pytest.fixture
def small(tmp_path: Path):
    """A file system of a mebibyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_room_is_taken_before_a_mapped_file_is_written(small):
    file = small / "features.partial"
    file.touch()
    disk.reserve(file, SIZE // 2)
    assert file.stat().st_blocks * 512 >= SIZE // 2
    with pytest.raises(HeadstartError, match=rf"{file} needs 2,097,152 bytes, and [\d,]+ bytes"):
        disk.reserve(file, 2 * SIZE)


JOB = """
import sys
from headstart import logs
with logs.job(sys.argv[1] + "/job.log"):
    exec(sys.argv[2])
"""
WRITES = {
    "bytes": "from pathlib import Path; Path(folder, 'x').write_bytes(bytes(1 << 21))",
    "numpy": "import numpy as np; np.save(folder + '/x.npy', np.zeros(1 << 20))",
    "safetensors": "import numpy as np; from safetensors.numpy import save_file;"
    "save_file({'x': np.zeros(1 << 20)}, folder + '/x.safetensors')",
    "sqlite": "import sqlite3; base = sqlite3.connect(folder + '/x.db'); base.execute("
    "'create table t (x blob)'); base.execute('insert into t values (zeroblob(2097152))');"
    "base.commit()",
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_job_on_a_full_disk_ends_with_one_line(small, tmp_path, kind):
    text = f"folder = {str(small)!r}; {WRITES[kind]}"
    done = subprocess.run(
        [sys.executable, "-c", JOB, tmp_path, text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("  error: the disk is full: ") and done.stderr.count("\n") == 1
    assert "make space and run the same command again" in done.stderr


def test_other_errors_are_not_taken_for_it(tmp_path):
    assert disk.told(FileNotFoundError(2, "No such file", "x"), tmp_path) is None
    assert disk.told(ValueError("a value"), tmp_path) is None
