"""The experiment as frozen dataclasses, read from YAML and checked against the JSON schema.

The schema (workflow/schemas/config.schema.yaml) is the single source of types, bounds and
defaults; `checks` adds the rules that span several keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import dacite

# Read here by name, as parts of an experiment.
from headstart.experiment.strategies import (
    Derived,
    Strategy,
    Training,
    Transform,
)
from headstart.experiment.strategies import Phase as Phase


@dataclass(frozen=True)
class Threshold:
    at: float
    below: str
    otherwise: str


@dataclass(frozen=True)
class Join:
    file: str
    separator: str
    columns: tuple[str, ...] | None


@dataclass(frozen=True)
class Part:
    column: str
    values: dict[str, str]


@dataclass(frozen=True)
class Table:
    file: str
    separator: str
    columns: tuple[str, ...] | None
    image: str
    label: str
    threshold: Threshold | None
    join: tuple[Join, ...] = ()
    part: Part | None = None


@dataclass(frozen=True)
class Split:
    test: float | str
    val: float | str
    seed: int
    folds: int | None = None
    redraw: bool = False

    def pairs(self, seeds: Sequence[int]) -> list[tuple[int, int]]:
        """The (split, seed) of every run of a strategy and fraction: its replicates.

        The number of a redrawn split is the seed's, so that a further seed leaves the others be.
        """
        if self.redraw:
            return [(seed, seed) for seed in seeds]
        return [(split, seed) for split in range(self.folds or 1) for seed in seeds]

    def numbers(self, seeds: Sequence[int]) -> list[int]:
        """The numbers of the splits that there are."""
        return list(dict.fromkeys(split for split, _ in self.pairs(seeds)))


@dataclass(frozen=True)
class Dataset:
    source: str
    package: str | None = None
    path: str | None = None
    address: str | None = None
    hash: str | None = None
    folder: str | None = None
    name: str | None = None
    table: Table | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    classes: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Backbone:
    name: str
    library: str
    weights: str
    stem: str = "standard"


@dataclass(frozen=True)
class Image:
    size: int | None
    crop_pct: float | None
    interpolation: str | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    cache_size: int | None


@dataclass(frozen=True)
class Features:
    views: int
    stages: bool


@dataclass(frozen=True)
class Evaluation:
    flips: tuple[str, ...]


@dataclass(frozen=True)
class Tuning:
    trials: int


#: What a verdict may compare by of which less is better.
LOSSES = ("log_loss", "brier")


@dataclass(frozen=True)
class Verdict:
    metric: str
    margin: float


@dataclass(frozen=True)
class Report:
    title: str


@dataclass(frozen=True)
class Experiment:
    experiment: str
    dataset: Dataset
    split: Split
    backbone: Backbone
    image: Image
    augmentation: tuple[Transform, ...]
    features: Features
    training: Training
    strategies: dict[str, Strategy]
    derived: dict[str, Derived]
    seeds: tuple[int, ...]
    fractions: tuple[float, ...]
    evaluation: Evaluation
    tests: dict[str, Dataset]
    tuning: Tuning
    verdict: Verdict
    report: Report

    def derived_by(self, kind: str) -> list[str]:
        """Names of the derived strategies of a kind."""
        return [name for name, derived in self.derived.items() if derived.kind == kind]


T = TypeVar("T")
_DACITE = dacite.Config(
    cast=[tuple], strict=True, type_hooks={Transform: Transform.from_dict, float: float}
)


def parse(kind: type[T], raw: dict[str, Any]) -> T:
    """Build a dataclass of this module from the plain dictionary that `plain` made of it."""
    return dacite.from_dict(kind, raw, _DACITE)


def plain(value: Any) -> Any:
    """The dataclass as nested plain dictionaries with sorted keys: equal settings, equal text."""
    if isinstance(value, Transform):
        return dict(sorted(value.to_dict().items()))
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in sorted(value.__dataclass_fields__)}
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    return value
