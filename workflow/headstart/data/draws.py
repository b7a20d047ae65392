"""Draws of a split: stratified shares and folds, copies and groups kept together."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart import HeadstartError

_PIECES = 20  # into which groups are dealt out, to draw a share of them


def units(usable: pd.DataFrame) -> pd.Series:
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


def fold(left: pd.DataFrame, folds: int, number: int, seed: int) -> pd.Index:
    """Rows of one of `folds` stratified parts, copies and groups included."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

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
            f"{images(int(smallest.min()))}; lower it or add images"
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    chosen = _dealt(kind(folds, shuffle=True, random_state=seed), codes, units)[number]
    return left.index[left["unit"].isin(units.iloc[chosen])]


def draw(left: pd.DataFrame, name: str, share: float, seed: int) -> pd.Index:
    """Rows of a stratified share of the distinct pictures, copies and groups included."""
    from sklearn.model_selection import train_test_split

    distinct = left.sort_values("id").drop_duplicates("sha256")
    codes, classes = pd.factorize(distinct["label"])
    count = round(share * len(distinct))
    smaller = min(count, len(distinct) - count)
    if smaller < len(classes):
        raise HeadstartError(
            f"dataset.split.{name} is {share}, which divides {images(len(distinct))} into "
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
    from sklearn.model_selection import StratifiedGroupKFold

    pieces = min(_PIECES, units.nunique(), int(np.bincount(codes).max()))
    if pieces < 2:
        raise HeadstartError(
            f"dataset.split.{name}: all images that are left are of one group; "
            "correct dataset.group, or add images of other groups"
        )
    dealt = _dealt(StratifiedGroupKFold(pieces, shuffle=True, random_state=seed), codes, units)
    taken = np.concatenate(dealt[: int(np.clip(round(share * pieces), 1, pieces - 1))])
    return units.iloc[taken].unique()


def _dealt(folds: Any, codes: np.ndarray, units: pd.Series) -> list[np.ndarray]:
    """Positions of each of scikit-learn's folds, stratified as well as the units allow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer units than folds
        return [rows for _, rows in folds.split(codes, codes, units)]


def images(count: int) -> str:
    """A number of images in words: 1 image, 2,000 images."""
    return f"{count:,} image{'' if count == 1 else 's'}"
