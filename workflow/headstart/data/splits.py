"""Split: train, validation and test, stratified, seeded, with copies and groups on one side."""

import hashlib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from headstart import HeadstartError
from headstart.data import names
from headstart.data.manifest import OK
from headstart.experiment.config import Split

SPLITS = ["train", "val", "test"]
_SHARES = {"test": 0.2, "val": 0.1}
_PIECES = 20  # into which groups are dealt out, to draw a share of them
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
    usable = usable.assign(unit=_units(usable))
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
            chosen = _fold(left, settings.folds, number, seed)
        else:
            chosen = _draw(left, name, choice, seed)
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


def _units(usable: pd.DataFrame) -> pd.Series:
    """What stays together: images that share a sha256 or a group, directly or through others."""
    if (usable["group"] == "").all():
        return usable["sha256"]
    own = usable["group"].where(usable["group"] != "", "\0" + usable["id"])
    pictures, groups = pd.factorize(usable["sha256"])[0], pd.factorize(own)[0]
    offset = pictures.max(initial=-1) + 1
    nodes = offset + groups.max(initial=-1) + 1
    links = coo_array((np.ones(len(usable)), (pictures, offset + groups)), shape=(nodes, nodes))
    component = connected_components(links, directed=False)[1]
    return pd.Series(component[pictures], index=usable.index)


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
    if choice == "auto":
        official = sorted(part for part in parts if names.part(part) == name)
        if len(official) > 1:
            raise HeadstartError(
                f"dataset.split.{name} is auto, but the source has the parts "
                f"{' and '.join(map(repr, official))}; name the one to use, and leave the other "
                "out with dataset.exclude"
            )
        return official[0] if official else _SHARES[name]
    if isinstance(choice, str) and choice not in parts:
        there = f"has {', '.join(sorted(parts))} to choose from" if parts else "has none"
        raise HeadstartError(
            f"dataset.split.{name} is {choice!r}, but of part folders the source {there}; "
            "give a share between 0 and 1, or auto"
        )
    return choice


def _fold(left: pd.DataFrame, folds: int, number: int, seed: int) -> pd.Index:
    """Rows of one of `folds` stratified parts, copies and groups included."""
    distinct = left.sort_values("id").drop_duplicates("sha256")
    codes, classes = pd.factorize(distinct["label"])
    units = distinct["unit"]
    if units.nunique() < folds:
        raise HeadstartError(
            f"dataset.split.folds is {folds}, but there are only {units.nunique()} groups of "
            "images that stay together; lower it"
        )
    smallest = np.bincount(codes)
    grouped = units.nunique() < len(distinct)
    if not grouped and smallest.min() < folds:
        raise HeadstartError(
            f"dataset.split.folds is {folds}, but class {classes[int(smallest.argmin())]!r} has "
            f"{_images(int(smallest.min()))}; lower it or add images"
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    chosen = _dealt(kind(folds, shuffle=True, random_state=seed), codes, units)[number]
    return left.index[left["unit"].isin(units.iloc[chosen])]


def _dealt(folds: Any, codes: np.ndarray, units: pd.Series) -> list[np.ndarray]:
    """Positions of each of scikit-learn's folds, stratified as well as the units allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer units than folds
        return [rows for _, rows in folds.split(codes, codes, units)]


def _draw(left: pd.DataFrame, name: str, share: float, seed: int) -> pd.Index:
    """Rows of a stratified share of the distinct pictures, copies and groups included."""
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
    if distinct["unit"].nunique() < len(distinct):
        chosen = _draw_groups(distinct["unit"], codes, name, share, seed)
        return left.index[left["unit"].isin(chosen)]
    _, drawn = train_test_split(
        distinct["sha256"].to_numpy(), test_size=count, random_state=seed, stratify=codes
    )
    return left.index[left["sha256"].isin(drawn)]


def _draw_groups(
    units: pd.Series, codes: np.ndarray, name: str, share: float, seed: int
) -> np.ndarray:
    """Units that make up about a share of the images, as stratified as they allow."""
    pieces = min(_PIECES, units.nunique(), int(np.bincount(codes).max()))
    if pieces < 2:
        raise HeadstartError(
            f"dataset.split.{name}: all images that are left are of one group; "
            "correct dataset.group, or add images of other groups"
        )
    dealt = _dealt(StratifiedGroupKFold(pieces, shuffle=True, random_state=seed), codes, units)
    taken = np.concatenate(dealt[: int(np.clip(round(share * pieces), 1, pieces - 1))])
    return units.iloc[taken].unique()


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
        lines.append(f"{_images(dropped)} left out, {kind} of test or validation images")
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
