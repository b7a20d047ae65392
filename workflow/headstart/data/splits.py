"""Split: train, validation and test, stratified, seeded, with exact copies on one side."""

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from headstart import HeadstartError
from headstart.data.manifest import OK
from headstart.experiment.config import Split

SPLITS = ["train", "val", "test"]
_FOLDERS = {"test": ["test"], "val": ["val", "valid", "validation"]}
_SHARES = {"test": 0.2, "val": 0.1}
_SHOWN = 3


def split(manifest: pd.DataFrame, settings: Split) -> pd.DataFrame:
    """Divide the usable images into train, val and test; train is what the others leave.

    `settings.test` is a share of all images or one of the source's part folders;
    `settings.val` a share of the images that are not test, or a part folder less what test
    drew from it. 'auto' takes the source's own folder, else a fifth and a tenth. Images of
    equal sha256 never stand on two sides: a share draws distinct pictures with all their
    copies, and a copy of an official test image outside the test folder is left out
    altogether, as is a training copy of an official validation image.

    Args:
        manifest: columns id, label, sha256, status and split ('' where there is no folder).
        settings: `dataset.split` of the configuration.

    Returns:
        Columns id and split (train, val or test), in the manifest's order.

    Raises:
        HeadstartError: names the setting, and the class or part folder it fails on.
    """
    usable = manifest.loc[manifest["status"] == OK, ["id", "label", "sha256", "split"]]
    parts = set(manifest["split"]) - {""}
    choices = _choices(settings, parts)
    reserved = usable.loc[usable["split"] == choices["test"], "sha256"]
    pool = usable[~usable["sha256"].isin(reserved)]
    check_counts(pool.drop_duplicates("sha256")["label"], settings, parts)

    side = pd.Series("", index=usable.index, dtype="str")
    for name, choice in choices.items():
        left = usable[side == ""]
        if isinstance(choice, str):
            chosen = left.index[left["split"] == choice]
        else:
            chosen = _draw(left, name, choice, settings.seed)
        if chosen.empty:
            raise HeadstartError(
                f"dataset.split.{name}: part folder {choice!r} has no usable image of its own; "
                "fill it or give a share"
            )
        side[chosen] = name
        side[usable["sha256"].isin(usable.loc[chosen, "sha256"]) & (side == "")] = "dropped"
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
            f"{keys or 'dataset.split'}: class {counts.idxmin()!r} has {_images(count)} to divide, "
            f"but train{''.join(f' and {name}' for name in reversed(drawn))} need at least {need}; "
            "add images or remove the class"
        )


def _choices(settings: Split, parts: Collection[str]) -> dict[str, float | str]:
    """Test and val, each as a share or the name of a part folder."""
    test = _resolve("test", settings.test, parts)
    return {"test": test, "val": _resolve("val", settings.val, set(parts) - {test})}


def _resolve(name: str, choice: float | str, parts: Collection[str]) -> float | str:
    if choice == "auto":
        official = (part for part in sorted(parts) if part.lower() in _FOLDERS[name])
        return next(official, _SHARES[name])
    if isinstance(choice, str) and choice not in parts:
        there = f"has {', '.join(sorted(parts))} to choose from" if parts else "has none"
        raise HeadstartError(
            f"dataset.split.{name} is {choice!r}, but of part folders the source {there}; "
            "give a share between 0 and 1, or auto"
        )
    return choice


def _draw(left: pd.DataFrame, name: str, share: float, seed: int) -> pd.Index:
    """Rows of a stratified share of the distinct pictures, copies included."""
    distinct = left.sort_values("id").drop_duplicates("sha256")
    codes, classes = pd.factorize(distinct["label"])
    count = round(share * len(distinct))
    smaller = min(count, len(distinct) - count)
    if smaller < len(classes):
        raise HeadstartError(
            f"dataset.split.{name} is {share}, which divides {_images(len(distinct))} into "
            f"{len(distinct) - count:,} and {count:,}, too few for {len(classes)} classes; "
            f"{'raise' if smaller == count else 'lower'} it"
        )
    if (sizes := np.bincount(codes)).min() < 2:
        raise HeadstartError(
            f"dataset.split.{name}: class {classes[int(sizes.argmin())]!r} has 1 image left, "
            "but needs at least 2; add images or lower dataset.split.test"
        )
    _, drawn = train_test_split(
        distinct["sha256"].to_numpy(), test_size=count, random_state=seed, stratify=codes
    )
    return left.index[left["sha256"].isin(drawn)]


def _require_training(labels: pd.Series, side: pd.Series, settings: Split) -> None:
    missing = sorted(set(labels) - set(labels[side == "train"]))
    if missing:
        raise HeadstartError(
            f"dataset.split.test {settings.test} and dataset.split.val {settings.val} leave no "
            f"training image of class {missing[0]!r}; add images of it or give smaller shares"
        )


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


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
    if dropped := usable["split"].isna().sum():
        lines.append(f"{_images(dropped)} left out, exact copies of test or validation images")
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
