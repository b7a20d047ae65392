"""Further test sets: images that models are tested on after all, and never trained on."""

import re
from collections.abc import Collection
from dataclasses import fields

import pandas as pd

from headstart import HeadstartError
from headstart.data import manifest, names, sources
from headstart.data.surveys import Survey
from headstart.experiment.config import Dataset

#: Status of an image that models may have been trained on.
AT_HOME = "also among the experiment's own images"
_KEYS = "|".join(field.name for field in fields(Dataset))


def survey(name: str, dataset: Dataset) -> Survey:
    """The images of a further set as they lie there; one class is enough.

    Raises:
        HeadstartError: as `sources.survey`, led by the key of the set.
    """
    try:
        return sources.survey(dataset, trains=False)
    except HeadstartError as error:
        key = rf"(?<![\w./\\-])dataset\.(?=(?:{_KEYS})\b)"
        raise HeadstartError(re.sub(key, f"tests.{name}.", str(error))) from None


def require_classes(
    name: str, labels: Collection[str], classes: Collection[str], metric: str
) -> None:
    """Check that a set has no class that models do not know, and those that the metric needs.

    Args:
        labels: of the set's images.
        classes: those that models are trained on.

    Raises:
        HeadstartError: names the classes.
    """
    if foreign := sorted(set(labels) - set(classes)):
        raise HeadstartError(
            f"tests.{name} has {names.some(foreign)}, which no model knows: the classes are "
            f"{names.some(sorted(classes))}; rename what is one of these, or leave it out with "
            f"tests.{name}.exclude"
        )
    missing = sorted(set(classes) - set(labels))
    if missing and metric == "roc_auc":
        raise HeadstartError(
            f"tests.{name} has no image of {names.some(missing)}, without which verdict.metric "
            f"{metric} is not defined; add some, or choose another metric"
        )


def admitted(table: pd.DataFrame, home: pd.DataFrame) -> pd.DataFrame:
    """A set's manifest in which every image that stands in the home manifest is left out.

    Args:
        table: the set's manifest, as `manifest.build` returns it.
        home: the manifest of the experiment's own images, which are told by their sha256.
    """
    usable = table["status"] == manifest.OK
    known = table["sha256"].isin(set(home["sha256"]))
    return table.assign(status=table["status"].mask(usable & known, AT_HOME))


def require_images(name: str, table: pd.DataFrame) -> None:
    """Check that there is something to compare on.

    Raises:
        HeadstartError: fewer than two images are left.
    """
    left = int((table["status"] == manifest.OK).sum())
    if left < 2:
        lines = "; ".join(line.strip() for line in manifest.summary(table)[1:])
        raise HeadstartError(
            f"tests.{name}: of {len(table)} images it has {left} to test on, but needs two: {lines}"
        )
