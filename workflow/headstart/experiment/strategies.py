"""Strategies as frozen dataclasses: what trains, for how long and how."""

import math
from dataclasses import dataclass, replace
from typing import Any


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
class Training:
    """How every phase of a strategy trains.

    Attributes:
        batch_size: images of an optimizer's step.
        in_parts: whether they go to the device in parts where memory does not hold them at once.
    """

    batch_size: int
    in_parts: bool
    gpus: int
    precision: str
    loss: str
    loss_reduction: str
    label_smoothing: float
    class_weights: str
    sampling: str
    gradient_clip: float | None
    norm: str | None
    select_by: str

    @property
    def score(self) -> str:
        """The validation score that chooses where no epoch is the last, as among probes."""
        return "loss" if self.select_by == "last" else self.select_by


@dataclass(frozen=True)
class Phase:
    """A part of a strategy. What does not apply to its kind keeps the value given here."""

    train: str
    stages: int | None = None
    rank: int = 0
    epochs: int = 0
    steps: int | None = None
    norm: str = "batch"
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
    strength: float | None = None
    views: str = "plain"

    def fitted(self, steps_per_epoch: int) -> "Phase":
        """The phase with as many epochs as its least number of steps asks for."""
        enough = math.ceil((self.steps or 0) / steps_per_epoch)
        return replace(self, epochs=max(self.epochs, enough))


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
        """Whether it is a probe and nothing else."""
        return [phase.train for phase in self.phases] == ["probe"]

    @property
    def starts_with_probe(self) -> bool:
        """Whether a fitted probe gives the head with which the other phases set out."""
        return self.phases[0].train == "probe" and not self.is_probe

    @property
    def epochs(self) -> int:
        """Epochs of all phases; a probe has none."""
        return sum(phase.epochs for phase in self.phases)

    def fitted(self, images: int) -> "Strategy":
        """The strategy with its lengths in epochs of so many training images."""
        steps = math.ceil(images / self.training.batch_size)
        return replace(self, phases=tuple(phase.fitted(steps) for phase in self.phases))


@dataclass(frozen=True)
class Derived:
    kind: str
    of: str
    start: str | None = None
