"""Look for what makes the data too easy or doubtful: shortcuts, copies, suspicious labels."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import logs, paths
from headstart.data import copies, manifest
from headstart.data.cache import ImageCache
from headstart.report.figures import health as figures
from headstart.verdict import shortcuts, suspects

logger = logging.getLogger("headstart.health")


@dataclass(frozen=True)
class Files:
    manifest: Path
    split: Path
    images: Path
    index: Path
    shortcuts: Path
    suspects: Path
    copies: Path
    shortcuts_figure: Path
    suspects_figure: Path
    copies_figure: Path
    features: Path | None = None


def main(files: Files) -> None:
    table = manifest.read(files.manifest)
    usable = table[table.status == manifest.OK].reset_index(drop=True)
    cache = ImageCache.open(files.images, files.index)
    features = np.load(files.features, mmap_mode="r")[0] if files.features else None
    find_shortcuts(files, usable, cache)
    find_copies(files, usable, cache, features)
    find_suspects(files, usable, cache, features)


def find_shortcuts(files: Files, usable: pd.DataFrame, cache: ImageCache) -> None:
    traits = pd.DataFrame(
        [shortcuts.around(path, cache[row]) for row, path in enumerate(usable.path)]
    )
    split = pd.read_csv(files.split, dtype=str, keep_default_na=False)
    floor = shortcuts.floor(traits, list(usable.label), list(parts(split)))
    files.shortcuts.write_text(json.dumps(floor, indent=2) + "\n")
    majority = usable.label.value_counts(normalize=True).max()
    figures.shortcuts(floor, majority, files.shortcuts_figure)
    best, accuracy = next(iter(floor["alone"].items()))
    logger.info(
        "without a look at the pictures %.1f %% are right (%s alone: %.1f %%)",
        100 * floor["accuracy"],
        best,
        100 * accuracy,
    )


def parts(split: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and to test on, in each split."""
    for name in split.columns.drop("id"):
        known = split[name].isin(["train", "val"])
        yield np.flatnonzero(known), np.flatnonzero(split[name] == "test")


def find_copies(
    files: Files, usable: pd.DataFrame, cache: ImageCache, features: np.ndarray | None
) -> None:
    found = copies.near(usable, features)
    found.to_csv(files.copies, index=False)
    torn = found[found.label != found.other_label]
    logger.info("%d pairs of near copies, %d under two labels", len(found), len(torn))
    shown = pd.concat([torn, found]).drop_duplicates(["id", "other"]).head(figures.MOST_PAIRS)
    pairs = [
        (one, other, caption(row.id, row.label), caption(row.other, row.other_label))
        for row in shown.itertuples()
        for one, other in [[cache[k] for k in cache.positions([row.id, row.other])]]
    ]
    figures.copies(pairs, len(found), files.copies_figure)


def caption(image: str, label: str) -> str:
    """The file's name, and what it is labelled."""
    return f"{Path(image).name}\n{label}"


def find_suspects(
    files: Files, usable: pd.DataFrame, cache: ImageCache, features: np.ndarray | None
) -> None:
    found = pd.DataFrame(columns=suspects.COLUMNS)
    if features is not None:
        found = suspects.find(np.asarray(features), usable)
    found.to_csv(files.suspects, index=False)
    logger.info("%d images whose label every probe contradicts", len(found))
    pictures = [cache[row] for row in cache.positions(found.id[: figures.MOST_SUSPECTS])]
    rows = zip(pictures, found.label, found.believed, found.probability, strict=False)
    figures.suspects(list(rows), len(found), files.suspects_figure)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output))
