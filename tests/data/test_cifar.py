"""CIFAR as torchvision has it: checked file by file, written as images once."""

import hashlib
import pickle
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from headstart.data import sources


@pytest.fixture
def cifar(served, tmp_path, monkeypatch):
    """CIFAR-10 in its real format, of four training images and two of test."""
    from torchvision.datasets import CIFAR10

    folder, address = served
    made = tmp_path / "made" / CIFAR10.base_folder
    made.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    digests = {}

    def dump(name, content):
        (made / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((made / name).read_bytes()).hexdigest()

    dump("data_batch_1", {"data": pixels[:2], "labels": [1, 0]})
    dump("data_batch_2", {"data": pixels[2:4], "labels": [1, 1]})
    dump("test_batch", {"data": pixels[4:], "labels": [0, 1]})
    dump("batches.meta", {"label_names": ["airplane", "automobile"]})
    with tarfile.open(folder / CIFAR10.filename, "w:gz") as archive:
        archive.add(made, CIFAR10.base_folder)
    md5 = hashlib.md5((folder / CIFAR10.filename).read_bytes()).hexdigest()
    batches = [[name, digests[name]] for name in ("data_batch_1", "data_batch_2")]
    monkeypatch.setattr(CIFAR10, "url", f"{address}/{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5)
    monkeypatch.setattr(CIFAR10, "train_list", batches)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": digests["batches.meta"]})
    return folder / CIFAR10.filename, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_torchvision_writes_png_files_once(tmp_path, make_dataset, cifar):
    archive, pixels = cifar
    given = make_dataset("torchvision", name="CIFAR10")
    listing = sources.fetch(given, tmp_path / "d").table
    assert dict(zip(listing["id"], listing["split"], strict=True)) == {
        "test/airplane/00000.png": "test",
        "test/automobile/00001.png": "test",
        "train/airplane/00001.png": "train",
        "train/automobile/00000.png": "train",
        "train/automobile/00002.png": "train",
        "train/automobile/00003.png": "train",
    }
    with Image.open(listing["path"][3]) as image:
        assert np.array_equal(np.asarray(image), pixels[0])
    archive.unlink()
    assert sources.fetch(given, tmp_path / "d").table.equals(listing)
    assert not [path for path in (tmp_path / "d").rglob("*batch*")]


def test_torchvision_from_another_address(tmp_path, make_dataset, mistake, cifar):
    archive, _ = cifar
    mine = tmp_path / "mine.tar.gz"
    shutil.copy(archive, mine)
    given = make_dataset("torchvision", name="CIFAR10", address=str(mine))
    assert len(sources.fetch(given, tmp_path / "d").table) == 6
    mark = sources.fingerprint(given)
    mine.write_bytes(b"other")
    assert sources.fingerprint(given) != mark
    given = make_dataset("torchvision", name="CIFAR10", address=mine.as_uri())
    text = mistake(sources.fetch, given, tmp_path / "d")
    assert "mine.tar.gz has md5:" in text and "expected md5:" in text


def test_torchvision_checks_each_file(tmp_path, monkeypatch, make_dataset, mistake, cifar):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", "0" * 32]])
    text = mistake(sources.fetch, make_dataset("torchvision", name="CIFAR10"), tmp_path / "d")
    assert "not the CIFAR10 that torchvision knows" in text
    assert [p.name for p in (tmp_path / "d").glob("*/*")] in (
        ["lock", "cifar-10-python.tar.gz"],
        ["cifar-10-python.tar.gz", "lock"],
    )
