"""The fingerprint of a source changes with its files, and is found without a network."""

import os

from headstart.data import sources
from headstart.experiment import config


def test_fingerprint_sees_added_removed_and_modified_files(tmp_path, fill):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    folder = config.Dataset("folder", path=str(tmp_path))
    seen = [sources.fingerprint(folder)]
    assert sources.fingerprint(folder) == seen[0]
    extra = tmp_path / "a" / "2.jpg"
    extra.write_bytes(b"x")
    seen.append(sources.fingerprint(folder))
    os.utime(extra, ns=(1, 1))
    seen.append(sources.fingerprint(folder))
    extra.rename(tmp_path / "a" / "3.jpg")
    seen.append(sources.fingerprint(folder))
    assert len(set(seen)) == 4
    (tmp_path / "a" / "3.jpg").unlink()
    assert sources.fingerprint(folder) == seen[0]


def test_package_without_distribution_is_fingerprinted_by_its_files(tmp_path, fill, make_package):
    dataset = make_package("name,kind\na,x\nb,y\n")
    before = sources.fingerprint(dataset)
    fill(tmp_path / "fakepics", "pics/new.jpg")
    assert sources.fingerprint(dataset) != before


def test_fingerprint_needs_no_network_and_no_torch(make_dataset):
    seen = {
        sources.fingerprint(make_dataset("torchvision", name="CIFAR10")),
        sources.fingerprint(make_dataset("torchvision", name="CIFAR100")),
        sources.fingerprint(make_dataset("archive", address="http://no-such-host.invalid/a.zip")),
    }
    assert len(seen) == 3
