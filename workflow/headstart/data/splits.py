"""Split: train, validation and test, stratified, seeded, with copies and groups on one side."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.data import draws, names
from headstart.data.draws import images
from headstart.data.manifest import OK
from headstart.experiment.config import Split

SPLITS = ["train", "val", "test"]
_SHARES = {"test": 0.2, "val": 0.1}
_SHOWN = 3


def split(manifest: pd.DataFrame, settings: Split, number: int = 0) -> pd.DataFrame:
    """Divide the usable images into train, val and test; train is what the others leave.

    `settings.test` is a share of all images or one of the source's part folders;
    `settings.val` a share of the images that are not test, or a part folder less what test
    drew from it. 'auto' takes the source's own folder, else a fifth and a tenth. With
    `settings.folds`, test is one of so many stratified parts of all images instead. Images of
    equal sha256 or of one group never stand on two sides: a share draws them together, and one
    that belongs with an official test image but stands outside the test folder is left out
    altogether, as is a training image that belongs with an official validation image.

    Args:
        manifest: columns id, label, sha256, status, split ('' where there is no folder) and
            group ('' where there is none).
        settings: `dataset.split` of the configuration.
        number: which of several divisions: the fold, or with `settings.redraw` what is added to
            the seed.

    Returns:
        Columns id and split (train, val or test), in the manifest's order.

    Raises:
        HeadstartError: names the setting, and the class or part folder it fails on.
    """
    usable = manifest.loc[manifest["status"] == OK, ["id", "label", "sha256", "split", "group"]]
    usable = usable.assign(unit=draws.units(usable))
    parts = set(manifest["split"]) - {""}
    choices = _choices(settings, parts)
    reserved = usable.loc[usable["split"] == choices["test"], "unit"]
    pool = usable[~usable["unit"].isin(reserved)]
    check_counts(pool.drop_duplicates("sha256")["label"], settings, parts)

    seed = (settings.seed + number) % 2**32 if settings.redraw else settings.seed
    side = pd.Series("", index=usable.index, dtype="str")
    for name, choice in choices.items():
        left = usable[side == ""]
        if isinstance(choice, str):
            chosen = left.index[left["split"] == choice]
        elif name == "test" and settings.folds:
            chosen = draws.fold(left, settings.folds, number, seed)
        else:
            chosen = draws.draw(left, name, choice, seed)
        if chosen.empty:
            raise HeadstartError(
                f"dataset.split.{name}: part folder {choice!r} has no usable image of its own; "
                "fill it or give a share"
            )
        side[chosen] = name
        side[usable["unit"].isin(usable.loc[chosen, "unit"]) & (side == "")] = "dropped"
    side[side == ""] = "train"
    _require_training(usable["label"], side, settings)
    kept = side != "dropped"
    return pd.DataFrame({"id": usable["id"], "split": side})[kept].reset_index(drop=True)


def check_counts(
    labels: pd.Series | Mapping[str, int], settings: Split, parts: Collection[str] = ()
) -> None:
    """Check that each class has an image for every split that it is divided over.

    Args:
        labels: one label per distinct image that is to be divided, or images per class.
        settings: `dataset.split` of the configuration.
        parts: the source's part folders; a split that is a folder needs no image of these.

    Raises:
        HeadstartError: names the smallest class, its count and the need.
    """
    counts = pd.Series(labels) if isinstance(labels, Mapping) else labels.value_counts()
    drawn = [name for name, choice in _choices(settings, parts).items() if choice not in parts]
    need = 1 + len(drawn)
    if len(counts) and counts.min() < need:
        keys = " and ".join(f"dataset.split.{name}" for name in drawn)
        count = counts.min()
        raise HeadstartError(
            f"{keys or 'dataset.split'}: class {counts.idxmin()!r} has {images(count)} to divide, "
            f"but train{''.join(f' and {name}' for name in reversed(drawn))} need at least {need}; "
            "add images or remove the class"
        )


def _choices(settings: Split, parts: Collection[str]) -> dict[str, float | str]:
    """Test and val, each as a share or the name of a part folder."""
    if settings.folds:
        official = sorted(part for part in parts if names.part(part) == "test")
        if official:
            raise HeadstartError(
                f"dataset.split.folds is {settings.folds}, but the source has the test part "
                f"{official[0]!r}, which stays what it is; leave folds out, or leave the part out "
                f"with dataset.exclude"
            )
        test: float | str = 1 / settings.folds
    else:
        test = _resolve("test", settings.test, parts)
    return {"test": test, "val": _resolve("val", settings.val, set(parts) - {test})}


def _resolve(name: str, choice: float | str, parts: Collection[str]) -> float | str:
    official = sorted(part for part in parts if names.part(part) == name)
    if choice == "auto":
        if len(official) > 1:
            raise HeadstartError(
                f"dataset.split.{name} is auto, but the source has the parts "
                f"{' and '.join(map(repr, official))}; name the one to use, and leave the other "
                "out with dataset.exclude"
            )
        return official[0] if official else _SHARES[name]
    if choice in official and len(official) > 1:
        other = next(part for part in official if part != choice)
        raise HeadstartError(
            f"dataset.split.{name} is {choice!r}, but the source has {other!r} too, which "
            "would be trained on; leave it out with dataset.exclude"
        )
    if isinstance(choice, str) and choice not in parts:
        there = f"has {', '.join(sorted(parts))} to choose from" if parts else "has none"
        raise HeadstartError(
            f"dataset.split.{name} is {choice!r}, but of part folders the source {there}; "
            "give a share between 0 and 1, or auto"
        )
    return choice


def _require_training(labels: pd.Series, side: pd.Series, settings: Split) -> None:
    missing = sorted(set(labels) - set(labels[side == "train"]))
    if missing:
        raise HeadstartError(
            f"dataset.split.test {settings.test} and dataset.split.val {settings.val} leave no "
            f"training image of class {missing[0]!r}; add images of it or give smaller shares"
        )


def take_fraction(train: pd.DataFrame, fraction: float, seed: int) -> pd.DataFrame:
    """A stratified part of the training split, at least one image per class.

    With the same seed a smaller fraction is contained in a larger one.

    Args:
        train: columns id and label.
        fraction: share of each class, above 0, at most 1.
        seed: seed of the order in which images join.

    Returns:
        The chosen rows of `train`, in its order.
    """
    order = np.random.default_rng(seed).permutation(len(train))
    shuffled = train.sort_values("id").iloc[order]
    groups = shuffled.groupby("label", sort=False)["id"]
    quota = (groups.transform("size") * fraction).round().clip(lower=1)
    chosen = shuffled.index[groups.cumcount() < quota]
    return train[train.index.isin(chosen)]


def frozen(manifest: pd.DataFrame, files: Mapping[int, tuple[Path, Path]]) -> pd.DataFrame:
    """The content of split.csv: id, and a column per split of train, val, test or ''.

    Args:
        files: the tables of train and val, and of test, by the number of the split.
    """
    table = manifest.loc[manifest["status"] == OK, ["id"]]
    for number, paths in files.items():
        parts = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
        sides = pd.concat(parts).set_index("id")["split"]
        table = table.assign(**{f"split-{number}": table["id"].map(sides).fillna("")})
    return table


def summary(manifest: pd.DataFrame, split: pd.DataFrame) -> list[str]:
    """Lines for the terminal: images per split, copies left out, near copies across test."""
    usable = manifest[manifest["status"] == OK].merge(split, "left", on="id", suffixes=("_of", ""))
    counts = usable["split"].value_counts()
    lines = ["split: " + ", ".join(f"{name} {counts.get(name, 0):,}" for name in SPLITS)]
    for name in SPLITS:
        present = set(usable.loc[usable["split"] == name, "label"])
        if missing := sorted(set(usable["label"]) - present):
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            lines.append(f"{name} has no image of class {missing[0]!r}{more}")
    grouped = usable[usable["group"] != ""]
    if len(grouped):
        groups = grouped.groupby("split")["group"].nunique()
        lines.append("groups: " + ", ".join(f"{name} {groups.get(name, 0):,}" for name in SPLITS))
    if dropped := usable["split"].isna().sum():
        kind = "exact copies or of the groups" if len(grouped) else "exact copies"
        lines.append(f"{images(dropped)} left out, {kind} of test or validation images")
    return lines + _near_copies(usable)


def _near_copies(usable: pd.DataFrame) -> list[str]:
    """Pairs of equal perceptual hash on both sides; exact copies never are (see `split`)."""
    test = usable[usable["split"] == "test"].drop_duplicates("phash")
    other = usable[usable["split"].isin(["train", "val"])].drop_duplicates("phash")
    twins = usable[(usable["split"] == "test") & usable["phash"].isin(other["phash"])]
    if twins.empty:
        return []
    pairs = test.merge(other, on="phash", suffixes=("", "_other")).head(_SHOWN)
    named = pairs["id"] + " ~ " + pairs["id_other"] + " (" + pairs["split_other"] + ")"
    more = ", ..." if len(twins) > len(pairs) else ""
    count = "1 test image looks" if len(twins) == 1 else f"{len(twins):,} test images look"
    return [f"{count} like one of train or val, by equal perceptual hash: {', '.join(named)}{more}"]


def split_hash(split: pd.DataFrame) -> str:
    """sha256 (hex) over the sorted rows id, split: equal splits, equal hash in any order."""
    rows = sorted(zip(split["id"], split["split"], strict=True))
    text = "".join(f"{image}\0{side}\n" for image, side in rows)
    return hashlib.sha256(text.encode()).hexdigest()
