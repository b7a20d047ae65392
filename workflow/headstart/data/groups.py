"""Groups: images that must stay on one side of a split, by a part of their ids."""

import re
from collections.abc import Sequence

import pandas as pd

from headstart import HeadstartError
from headstart.data import names

#: Where names show groups, the coarsest first: folders, the first word of a file's name, all but
#: the last.
_PLACES = (
    r"([^/]+)/[^/]+$",
    *(rf"([^/{mark}]+){mark}[^/]*$" for mark in "_- "),
    *(rf"([^/]+){mark}[^/{mark}]*$" for mark in "_- "),
)
_SIZES = (2, 200)  # images a group, on average
_MORE_THAN = 2  # groups a class
_PURE = 0.8  # share of the images that are of their group's commonest class
_REPEATED = 0.5  # share of the groups with several images


def find(ids: pd.Series, pattern: str, otherwise: str = "") -> pd.Series:
    """The group of each image.

    Args:
        ids: the images' ids.
        pattern: a regular expression to search for; its first parentheses count, if it has any.
        otherwise: what else the setting could have been, for an error.

    Raises:
        HeadstartError: the pattern is no regular expression, or finds nothing in an id.
    """
    shown = f"dataset.group: {pattern!r} {otherwise}"
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise HeadstartError(f"{shown}is no regular expression ({error}); correct it") from None
    found = [expression.search(names.label(image)) for image in ids]
    groups = [match[min(expression.groups, 1)] if match else None for match in found]
    for image, group in zip(ids, groups, strict=True):
        if not group:
            raise HeadstartError(
                f"{shown}finds nothing in {names.some([image])}; give a regular expression that "
                "finds the group in every image's id"
            )
    return pd.Series(groups, index=ids.index, dtype="str")


def suggested(table: pd.DataFrame) -> str | None:
    """A regular expression for `dataset.group` where folders or file names show groups.

    Each class must have more than 2 of them, of 2 to 200 images on average, most with several
    images and most of these of one class; words of a file's name must hold a digit.

    Args:
        table: columns id and label.
    """
    places = () if table.empty else _PLACES
    return next((place for place in places if _shows_groups(table, place)), None)


def _shows_groups(table: pd.DataFrame, place: str) -> bool:
    of_one_class = table["id"][table["label"] == table["label"].iloc[0]]
    glance = of_one_class.str.extract(place, expand=False)
    if glance.isna().any() or glance.nunique() <= _MORE_THAN:
        return False
    groups = table["id"].str.extract(place, expand=False)
    if groups.isna().any() or (place != _PLACES[0] and not groups.str.contains(r"\d").all()):
        return False
    sizes = groups.value_counts()
    per_class = groups.groupby(table["label"]).nunique()
    commonest = table.groupby([groups, table["label"]]).size().groupby(level=0).max()
    return bool(
        per_class.min() > _MORE_THAN
        and _SIZES[0] <= sizes.mean() <= _SIZES[1]
        and (sizes > 1).mean() >= _REPEATED
        and commonest.sum() >= _PURE * len(table)
    )


def example(ids: Sequence[str], pattern: str) -> str:
    """The group that most of the images share, as a pattern finds it."""
    found = [match[1] for image in ids if (match := re.search(pattern, image))]
    return max(sorted(set(found)), key=found.count)
