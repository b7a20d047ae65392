"""Folds, redrawn splits and groups: every image tested once, and no group on two sides."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from headstart import HeadstartError
from headstart.data import splits
from headstart.experiment.config import Split


def table(n: int, classes: int = 3, groups: int = 0) -> pd.DataFrame:
    """A manifest of n distinct usable images; images of a group are of several classes."""
    rng = np.random.default_rng(0)
    ids = [f"{k:04d}.jpg" for k in range(n)]
    group = [f"patient {k}" for k in rng.integers(groups, size=n)] if groups else [""] * n
    return pd.DataFrame(
        {
            "id": ids,
            "label": [f"class {k % classes}" for k in range(n)],
            "sha256": ids,
            "phash": ids,
            "status": "ok",
            "split": "",
            "group": group,
        }
    )


def sides(manifest: pd.DataFrame, number: int = 0, **settings) -> pd.DataFrame:
    split = Split(**{"test": "auto", "val": "auto", "seed": 0} | settings)
    return splits.split(manifest, split, number).merge(manifest, on="id", suffixes=("", "_of"))


@pytest.mark.parametrize("groups", [0, 60])
def test_folds_test_every_image_once_and_alike(groups: int) -> None:
    manifest = table(300, groups=groups)
    manifest.loc[299, "sha256"] = manifest.loc[0, "sha256"]
    folds = [sides(manifest, number, folds=5) for number in range(5)]
    tested = Counter(image for fold in folds for image in fold.id[fold.split == "test"])
    assert tested == Counter(manifest.id)
    for fold in folds:
        test = fold[fold.split == "test"]
        assert 45 <= len(test) <= 75 and test.label.value_counts().min() >= 12
        assert fold.groupby("sha256").split.nunique().max() == 1
        assert {"train", "val"} <= set(fold.split)


@pytest.mark.parametrize("settings", [{}, {"test": 0.3, "val": 0.2}, {"folds": 4}])
def test_a_group_is_on_one_side_and_shares_are_about_right(settings: dict) -> None:
    manifest = table(400, groups=80)
    split = sides(manifest, **settings)
    assert split.groupby("group").split.nunique().max() == 1
    share = 1 / settings["folds"] if "folds" in settings else settings.get("test", 0.2)
    test = split[split.split == "test"]
    assert abs(len(test) / 400 - share) < 0.05
    assert (test.label.value_counts(normalize=True) - 1 / 3).abs().max() < 0.08


def test_a_copy_joins_two_groups() -> None:
    manifest = table(300, groups=60)
    first = manifest.index[manifest.group == "patient 1"]
    second = manifest.index[manifest.group == "patient 2"]
    manifest.loc[first[0], "sha256"] = manifest.loc[second[0], "sha256"]
    split = sides(manifest)
    joined = split[split.group.isin(["patient 1", "patient 2"])]
    assert len(joined) == len(first) + len(second) and joined.split.nunique() == 1


def test_a_group_of_official_test_images_is_dropped_elsewhere() -> None:
    manifest = table(300, groups=60)
    manifest["split"] = np.where(np.arange(300) < 60, "test", "train")
    split = sides(manifest)
    test = split[split.split == "test"]
    assert set(test.id) == set(manifest.id[:60])
    rest = split[split.split != "test"]
    assert len(rest) and not set(rest.group) & set(test.group)


def test_redrawn_splits_differ_and_the_first_is_the_plain_one() -> None:
    manifest = table(300)
    plain, first, second = (
        sides(manifest),
        sides(manifest, 0, redraw=True),
        sides(manifest, 1, redraw=True),
    )
    pd.testing.assert_frame_equal(plain, first)
    assert set(first.id[first.split == "test"]) != set(second.id[second.split == "test"])
    pd.testing.assert_frame_equal(second, sides(manifest, seed=1))


def test_the_replicates_of_an_experiment() -> None:
    seeds = [0, 7]
    assert Split("auto", "auto", 0).pairs(seeds) == [(0, 0), (0, 7)]
    assert Split("auto", "auto", 0, redraw=True).pairs(seeds) == [(0, 0), (7, 7)]
    folds = Split("auto", "auto", 0, folds=2)
    assert folds.pairs(seeds) == [(0, 0), (0, 7), (1, 0), (1, 7)]
    assert folds.numbers(seeds) == [0, 1]


def test_the_frozen_table_has_a_column_per_split(tmp_path) -> None:
    manifest = table(60)
    manifest.loc[0, "status"] = "truncated"
    files = {}
    for number in (0, 1):
        split = sides(manifest, number, redraw=True)[["id", "label", "split"]]
        files[number] = tmp_path / f"{number}-rest.csv", tmp_path / f"{number}-test.csv"
        split[split.split != "test"].to_csv(files[number][0], index=False)
        split[split.split == "test"].to_csv(files[number][1], index=False)
    frozen = splits.frozen(manifest, files)
    assert list(frozen) == ["id", "split-0", "split-1"] and len(frozen) == 59
    expected = sides(manifest, 1, redraw=True).set_index("id").split
    assert (frozen.set_index("id")["split-1"] == expected).all()


def test_the_summary_counts_groups() -> None:
    manifest = table(300, groups=60)
    split = splits.split(manifest, Split("auto", "auto", 0))
    (line,) = [line for line in splits.summary(manifest, split) if line.startswith("groups: ")]
    counts = [int(word) for word in line.replace(",", "").split() if word.isdigit()]
    assert sum(counts) == manifest.group.nunique() and min(counts) > 0


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (lambda m: m.assign(group="one"), {}, ["dataset.split.test", "dataset.group"]),
        (lambda m: m.assign(group=m.group.str[-1]), {"folds": 20}, ["folds is 20", "groups"]),
        (lambda m: m.assign(group=""), {"folds": 60}, ["folds is 60", "class 'class 0'"]),
        (
            lambda m: m.assign(split=["Testing", "Training"] * 75),
            {"folds": 5},
            ["folds is 5", "'Testing'", "dataset.exclude"],
        ),
        (
            lambda m: m.assign(split=["val", "valid", "train"] * 50),
            {"val": "valid"},
            ["dataset.split.val is 'valid'", "'val' too", "dataset.exclude"],
        ),
        (
            lambda m: m.assign(split=["val", "valid", "train"] * 50),
            {},
            ["dataset.split.val is auto", "'val' and 'valid'", "dataset.exclude"],
        ),
    ],
)
def test_what_cannot_be_divided_is_one_line(change, settings: dict, words: list[str]) -> None:
    with pytest.raises(HeadstartError) as error:
        sides(change(table(150, groups=30)), **settings)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), error.value
