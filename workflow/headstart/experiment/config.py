"""The experiment as frozen dataclasses, read from YAML and checked against the JSON schema.

The schema (workflow/schemas/config.schema.yaml) is the single source of types, bounds and
defaults; `checks` adds the rules that span several keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import dacite


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
class Transform:
    """One named augmentation and its parameters, as sorted (name, value) pairs."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> "Transform":
        parameters = {key: value for key, value in raw.items() if key != "name"}
        return Transform(
            raw["name"],
            tuple(
                (k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(parameters.items())
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name} | {
            k: list(v) if isinstance(v, tuple) else v for k, v in self.parameters
        }


@dataclass(frozen=True)
class Features:
    views: int
    stages: bool


@dataclass(frozen=True)
class Training:
    batch_size: int
    gpus: int
    precision: str
    loss: str
    loss_reduction: str
    label_smoothing: float
    class_weights: str
    sampling: str
    gradient_clip: float | None
    select_by: str


@dataclass(frozen=True)
class Phase:
    """A part of a strategy. What does not apply to its kind keeps the value given here."""

    train: str
    stages: int | None = None
    epochs: int = 0
    start_size: int | None = None
    optimizer: str = ""
    lr: float = 0.0
    head_lr_multiplier: float = 1.0
    layer_lr_decay: float = 1.0
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: str = ""
    warmup: float = 0.0
    step_size: int = 1
    gamma: float = 1.0
    min_lr: float = 0.0
    classifier: str = ""
    strengths: int = 0


@dataclass(frozen=True)
class Strategy:
    init: str
    phases: tuple[Phase, ...]
    training: Training
    augmentation: tuple[Transform, ...]

    @property
    def from_features(self) -> bool:
        """Whether the backbone stays frozen throughout, so that its features can be cached."""
        frozen = all(phase.train in ("head", "probe") for phase in self.phases)
        return self.init == "pretrained" and frozen

    @property
    def cached_stages(self) -> int | None:
        """The k of the last k stages that train, where all before them can be computed once.

        That is so where the images never change. None for any other strategy.
        """
        kinds = {phase.train for phase in self.phases}
        growing = any(phase.start_size for phase in self.phases)
        if self.init != "pretrained" or self.augmentation or growing or self.training.gpus > 1:
            return None
        if "last_k_stages" not in kinds or kinds - {"head", "last_k_stages"}:
            return None
        return max(phase.stages or 0 for phase in self.phases)

    @property
    def features(self) -> str | None:
        """Name of the cached features that it trains on; None where it trains on images."""
        if self.from_features:
            return "pooled"
        return f"before_last_{self.cached_stages}" if self.cached_stages else None

    @property
    def is_probe(self) -> bool:
        return self.phases[0].train == "probe"

    @property
    def epochs(self) -> int:
        """Rows of the history: epochs, or for a probe the strengths tried."""
        return sum(phase.epochs + phase.strengths for phase in self.phases)


@dataclass(frozen=True)
class Evaluation:
    flips: tuple[str, ...]


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
    seeds: tuple[int, ...]
    fractions: tuple[float, ...]
    evaluation: Evaluation
    verdict: Verdict
    report: Report


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
