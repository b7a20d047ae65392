"""Notes on a listing: what looks like a slip, to be told before anything is trained."""

import re
from collections.abc import Iterator

import pandas as pd

from headstart.data import groups, names

_MASKS_WORDS = re.compile("mask|seg|label|gt|truth|annotation", re.I)
_SHOWN = 3


def on(table: pd.DataFrame) -> Iterator[str]:
    """Lines on labels that look alike, masks among the images, and groups that are not set.

    Args:
        table: columns id, label and group, as `surveys.Survey` describes them.
    """
    yield from _alike(table["label"])
    images = table[table["id"].map(names.is_image)]
    yield from _twins(images["id"])
    yield from _masks(images["id"])
    yield from _mask_folders(images)
    if (table["group"] == "").all():
        yield from _groups(table)


def _alike(labels: pd.Series) -> Iterator[str]:
    found = names.alike(labels.unique())
    if found:
        named = "; ".join(names.some(group) for group in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield (
            f"classes that differ only in case, spaces or the form of a number: {named}{more}; "
            "give them one name if they are one class"
        )


def _twins(ids: pd.Series) -> Iterator[str]:
    """Images of equal name but for the ending, such as a photograph and its mask."""
    stems = ids.map(names.stem)
    twins = ids[stems.duplicated(keep=False)]
    if twins.empty:
        return
    by_stem = twins.groupby(stems[twins.index], sort=False)
    first = by_stem.get_group(stems[twins.index[0]])
    endings = sorted({f"*{each[len(names.stem(each)) :]}" for each in first})
    yield (
        f"{by_stem.ngroups:,} names are those of several images, such as {names.some(first)}; if "
        f"one of each is a mask or a copy, leave it out with dataset.exclude, such as "
        f"{' or '.join(map(repr, endings))}, or name the others in dataset.include"
    )


def _masks(ids: pd.Series) -> Iterator[str]:
    """Images named as the masks of others: x.png and x_mask.png."""
    likely = ids[ids.str.contains(_MASKS_WORDS)]
    if likely.empty:
        return
    stems = set(ids.map(names.stem))
    bare = likely.map(names.unmasked)
    masks = likely[bare.isin(stems) & (bare != likely.map(names.stem))]
    if len(masks):
        mask = masks.iloc[0]
        word = names.stem(mask)[len(names.unmasked(mask)) :].rstrip(" _.-0123456789")
        pattern = f"*{word}*{mask[len(names.stem(mask)) :]}"
        yield (
            f"{len(masks):,} images are named as masks of others, such as {names.some([mask])}; "
            f"leave them out with dataset.exclude, such as {pattern!r}, or name the others in "
            "dataset.include"
        )


def _mask_folders(images: pd.DataFrame) -> Iterator[str]:
    """Images in folders named masks or the like, below the class folders."""
    likely = images[images["id"].str.contains(_MASKS_WORDS)]
    inside = [
        next(filter(names.is_mask_folder, _folders_below(image, label)), "")
        for image, label in zip(likely["id"], likely["label"], strict=True)
    ]
    masks = likely["id"][[bool(name) for name in inside]]
    if len(masks):
        name = next(filter(None, inside))
        yield (
            f"{len(masks):,} images are in folders named as those of masks, such as "
            f"{names.some(masks.head(1))}; leave them out with dataset.exclude, such as '{name}/'"
        )


def _folders_below(image: str, label: str) -> list[str]:
    """Names of the folders between an image and its class folder, if it lies in one."""
    folders = image.split("/")[:-1]
    labels = [names.label(folder) for folder in folders]
    return folders[labels.index(label) + 1 :] if label in labels else []


def _groups(table: pd.DataFrame) -> Iterator[str]:
    if pattern := groups.suggested(table):
        shown = names.some([groups.example(table["id"].tolist(), pattern)])
        yield f"file names suggest groups, such as {shown}: dataset.group: '{pattern}'"
