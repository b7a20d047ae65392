"""Packages: images that an installed distribution carries, listed without importing it."""

import os
import sys
from pathlib import Path

import pytest

from headstart import HeadstartError
from headstart.data import sources
from headstart.experiment import config, loading


@pytest.fixture
def elpv() -> config.Dataset:
    return loading.load(Path(__file__).parents[2] / "config" / "config.yaml").dataset


def test_elpv_lists_without_importing_the_package(elpv):
    listing = sources.list_images(elpv)
    assert listing.columns.tolist() == ["id", "path", "label", "split", "group"]
    assert listing["label"].value_counts().to_dict() == {"functional": 1803, "defective": 821}
    assert listing["id"][0] == "data/images/cell0001.png"
    assert all(map(os.path.isfile, listing["path"]))
    assert set(listing["split"]) == {""}
    assert "elpv_dataset" not in sys.modules
    assert sources.fingerprint(elpv) == sources.fingerprint(elpv)


def test_package_table_with_header_and_pattern(tmp_path, make_package):
    text = "\ufeffname,kind,set\nb,dog,one\n a ,NA,two\n"
    dataset = make_package(text, image="{set}/{name}.jpg")
    listing = sources.list_images(dataset)
    assert listing["id"].tolist() == ["one/b.jpg", "two/a.jpg"]
    assert listing["label"].tolist() == ["dog", "NA"]
    assert listing["path"][0] == str(tmp_path / "fakepics" / "one" / "b.jpg")


def test_package_that_is_not_installed(elpv):
    missing = config.Dataset("package", package="no_such.pictures", table=elpv.table)
    for call in (sources.list_images, sources.fingerprint):
        with pytest.raises(HeadstartError, match=r"dataset\.package: .*'no_such\.pictures'"):
            call(missing)
