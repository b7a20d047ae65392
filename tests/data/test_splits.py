"""Splits: shares and official folders, copies on one side, nested fractions."""

import time

import numpy as np
import pandas as pd
import pytest

from headstart import HeadstartError
from headstart.data import splits
from headstart.experiment import config


def images(counts: dict[str, int], part: str = "") -> pd.DataFrame:
    """A manifest of distinct usable images, `counts` per label, in one part folder."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    ids = [f"{part}/{label}/{n:06d}.jpg".lstrip("/") for n, label in enumerate(labels)]
    return pd.DataFrame(
        {
            "id": ids,
            "path": ids,
            "label": labels,
            "sha256": [f"sha-{name}" for name in ids],
            "phash": [f"phash-{name}" for name in ids],
            "status": "ok",
            "split": part,
            "group": "",
        }
    )


def parts(**counts: dict[str, int]) -> pd.DataFrame:
    return pd.concat([images(c, part) for part, c in counts.items()], ignore_index=True)


def split(manifest: pd.DataFrame, test="auto", val="auto", seed=0) -> pd.Series:
    """Split of each image by its id."""
    return splits.split(manifest, config.Split(test, val, seed)).set_index("id")["split"]


def counts(sides: pd.Series) -> dict[str, int]:
    return sides.value_counts().to_dict()


def test_shares_are_of_all_and_of_the_rest():
    manifest = images({"functional": 1803, "defective": 821})
    sides = split(manifest, 0.25, 0.12)
    assert counts(sides) == {"train": 1732, "val": 236, "test": 656}
    assert sides.index.tolist() == manifest["id"].tolist()
    labels = manifest.set_index("id")["label"]
    shares = (labels == "defective").groupby(sides).mean()
    assert (shares - 821 / 2624).abs().max() < 0.003


def test_default_shares_and_broken_images():
    manifest = images({"a": 100, "b": 100})
    manifest.loc[:19, "status"] = "truncated"
    sides = split(manifest)
    assert counts(sides) == {"train": 130, "val": 14, "test": 36}
    assert not set(manifest["id"][:20]) & set(sides.index)


def test_seed_decides_and_row_order_does_not():
    manifest = images({"a": 40, "b": 40})
    first = split(manifest, seed=3)
    assert first.equals(split(manifest, seed=3))
    assert not first.equals(split(manifest, seed=4))
    shuffled = split(manifest.sample(frac=1, random_state=0).reset_index(drop=True), seed=3)
    assert shuffled[first.index].equals(first)


def test_copies_stay_on_one_side():
    manifest = images({"a": 100, "b": 100})
    manifest["sha256"] = [f"sha-{n % 60}" for n in range(200)]
    sides = split(manifest, 0.3, 0.3)
    assert len(sides) == 200
    assert sides.groupby(manifest.set_index("id")["sha256"]).nunique().max() == 1
    assert set(sides) == {"train", "val", "test"}


def test_official_folders_are_taken_as_they_are():
    manifest = parts(train={"a": 8, "b": 8}, valid={"a": 2, "b": 1}, test={"a": 3, "b": 3})
    assert split(manifest).tolist() == ["train"] * 16 + ["val"] * 3 + ["test"] * 6
    assert split(manifest, "test", "valid").equals(split(manifest))


def test_official_test_with_a_share_for_val_pools_the_rest():
    manifest = parts(train={"a": 30, "b": 30}, val={"a": 10, "b": 10}, test={"a": 5, "b": 5})
    sides = split(manifest, "test", 0.25)
    assert counts(sides) == {"train": 60, "val": 20, "test": 10}
    assert (sides[sides.index.str.startswith("test/")] == "test").all()
    assert counts(split(manifest, "val"))["test"] == 20


def test_share_for_test_pools_all_folders():
    manifest = parts(train={"a": 50, "b": 50}, test={"a": 50, "b": 50})
    sides = split(manifest, 0.2, 0.1)
    assert counts(sides) == {"train": 144, "val": 16, "test": 40}
    assert sides[sides == "test"].index.str.startswith("train/").any()


def test_share_for_test_leaves_the_rest_of_an_official_val_folder():
    manifest = parts(train={"a": 50, "b": 50}, val={"a": 25, "b": 25})
    sides = split(manifest, 0.2)
    val = sides.index.str.startswith("val/")
    assert counts(sides)["test"] == 30
    assert set(sides[val]) == {"val", "test"} and set(sides[~val]) == {"train", "test"}


def test_copies_of_official_test_images_are_dropped_elsewhere():
    manifest = parts(train={"a": 8, "b": 8}, val={"a": 3, "b": 3}, test={"a": 3, "b": 3})
    sha = manifest.set_index("id")["sha256"]
    sha["train/a/000000.jpg"] = sha["val/b/000003.jpg"] = sha["test/a/000000.jpg"]
    sha["train/b/000008.jpg"] = sha["val/a/000000.jpg"]
    manifest["sha256"] = sha.to_numpy()
    result = splits.split(manifest, config.Split("auto", "auto", 0))
    gone = {"train/a/000000.jpg", "val/b/000003.jpg", "train/b/000008.jpg"}
    assert set(manifest["id"]) - set(result["id"]) == gone
    assert counts(result["split"]) == {"train": 14, "val": 5, "test": 6}
    assert any("3 images left out" in line for line in splits.summary(manifest, result))


@pytest.mark.parametrize(
    "manifest, test, val, words",
    [
        (
            images({"cat": 50, "lynx": 2}),
            0.2,
            0.1,
            ["dataset.split.test and dataset.split.val", "'lynx'", "2 images", "at least 3"],
        ),
        (
            parts(train={"cat": 50, "lynx": 1}, test={"cat": 5, "lynx": 5}),
            "test",
            0.1,
            ["dataset.split.val:", "'lynx'", "1 image ", "at least 2"],
        ),
        (images({"a": 9, "b": 9}), "holdout", 0.1, ["dataset.split.test", "'holdout'", "none"]),
        (
            parts(train={"a": 9, "b": 9}, test={"a": 9, "b": 9}),
            "test",
            "dev",
            ["dataset.split.val", "'dev'", "train to choose"],
        ),
        (
            parts(train={"a": 9, "b": 9}, test={"a": 9, "b": 9}),
            "test",
            "test",
            ["dataset.split.val", "'test'", "train to choose"],
        ),
        (
            parts(train={"a": 9, "b": 9}, val={"a": 2}, test={"a": 9, "c": 9}),
            "auto",
            "auto",
            ["dataset.split.test", "dataset.split.val", "no training image", "'c'"],
        ),
        (images({"a": 9, "b": 9}), 0.05, 0.1, ["dataset.split.test is 0.05", "17 and 1", "raise"]),
        (images({"a": 9, "b": 9}), 0.95, 0.1, ["dataset.split.test is 0.95", "1 and 17", "lower"]),
        (images({"a": 9, "b": 9}), 0.2, 0.01, ["dataset.split.val is 0.01", "2 classes"]),
        (images({"a": 90, "b": 3}), 0.6, 0.1, ["dataset.split.val", "'b'", "1 image"]),
    ],
)
def test_mistakes_name_the_setting(manifest, test, val, words):
    with pytest.raises(HeadstartError) as error:
        split(manifest, test, val)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("name", ["test", "val"])
def test_part_folder_whose_images_are_all_broken(name):
    manifest = parts(train={"a": 9, "b": 9}, val={"a": 3, "b": 3}, test={"a": 3, "b": 3})
    manifest.loc[manifest["split"] == name, "status"] = "truncated"
    with pytest.raises(HeadstartError, match=rf"dataset\.split\.{name}: part folder '{name}'"):
        split(manifest)


def test_check_counts_takes_labels_or_counts():
    settings = config.Split(0.2, 0.1, 0)
    splits.check_counts({"a": 3, "b": 9}, settings)
    with pytest.raises(HeadstartError, match=r"'b' has 2 images"):
        splits.check_counts({"a": 3, "b": 2}, settings)
    with pytest.raises(HeadstartError, match=r"'b' has 1 image "):
        splits.check_counts(pd.Series(["a", "a", "a", "b"]), settings)
    splits.check_counts({"a": 1, "b": 1}, config.Split("auto", "auto", 0), ["train", "val", "test"])


def test_fractions_are_nested_and_stratified():
    train = images({"a": 400, "b": 90, "c": 2})[["id", "label"]]
    train = train.sample(frac=1, random_state=1)
    chosen = {f: splits.take_fraction(train, f, 7) for f in (0.01, 0.1, 0.5, 1.0)}
    assert chosen[1.0].equals(train)
    assert chosen[0.1]["label"].value_counts().to_dict() == {"a": 40, "b": 9, "c": 1}
    assert set(chosen[0.01]["label"]) == {"a", "b", "c"}
    for small, large in ((0.01, 0.1), (0.1, 0.5)):
        assert set(chosen[small]["id"]) < set(chosen[large]["id"])
    position = {name: n for n, name in enumerate(train["id"])}
    assert chosen[0.5]["id"].map(position).is_monotonic_increasing
    assert not splits.take_fraction(train, 0.1, 8).equals(chosen[0.1])


def test_summary_names_near_copies_across_test():
    manifest = parts(train={"a": 8, "b": 8}, val={"a": 3}, test={"a": 3, "b": 3})
    phash = manifest.set_index("id")["phash"]
    phash["train/a/000001.jpg"] = phash["test/a/000001.jpg"]
    phash["train/b/000008.jpg"] = phash["train/b/000009.jpg"]
    manifest["phash"] = phash.to_numpy()
    result = splits.split(manifest, config.Split("auto", "auto", 0))
    lines = splits.summary(manifest, result)
    assert lines[0] == "split: train 16, val 3, test 6"
    assert "val has no image of class 'b'" in lines[1]
    assert lines[2].startswith("1 test image looks like")
    assert "test/a/000001.jpg ~ train/a/000001.jpg (train)" in lines[2]
    assert len(lines) == 3


def test_split_hash_ignores_order_only():
    frame = pd.DataFrame({"id": ["a", "b", "c"], "split": ["train", "val", "test"]})
    assert splits.split_hash(frame) == splits.split_hash(frame[::-1])
    assert len(splits.split_hash(frame)) == 64
    assert splits.split_hash(frame) != splits.split_hash(frame.assign(split="train"))


def test_the_time_of_a_split_does_not_explode_with_the_images():
    rng = np.random.default_rng(0)
    seconds = []
    for per_class in (200, 2000):
        manifest = images({f"class-{n}": per_class for n in range(100)})
        copies = rng.integers(0, int(0.95 * len(manifest)), len(manifest))
        manifest["sha256"] = copies.astype(str)
        start = time.perf_counter()
        assert len(split(manifest)) == 100 * per_class
        seconds.append(time.perf_counter() - start)
    assert seconds[1] < 40 * seconds[0]
