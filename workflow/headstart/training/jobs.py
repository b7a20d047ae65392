"""What one training is asked to do: named before torch is imported, and sent to processes."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.data import scratch
from headstart.experiment.config import Strategy
from headstart.provenance import RunName


@dataclass(frozen=True)
class TrainingFiles:
    """What a training reads. There is no test image's label among it.

    `features` and `features_meta` are None for a strategy that trains from images; of these,
    `probe_features` are those that its first phase is fitted on, if that is a probe. `choice` is
    what tuning found.
    """

    backbone: Path
    weights: Path
    train_val: Path
    classes: Path
    images: Path
    index: Path
    tracking: Path
    features: Path | None = None
    features_meta: Path | None = None
    probe_features: Path | None = None
    choice: Path | None = None

    def near(self, folder: Path) -> "TrainingFiles":
        """The files, with a copy in a folder of this node for the one read over and over."""
        if self.features and self.features_meta:
            digest = json.loads(self.features_meta.read_text())["sha256"]
            return replace(self, features=scratch.copied(self.features, digest, folder))
        digest = hashlib.sha256(self.index.read_bytes()).hexdigest()
        return replace(self, images=scratch.copied(self.images, digest, folder))


@dataclass(frozen=True)
class RunFiles:
    """What a training writes. `resume` is gone when the training is done."""

    model: Path
    history: Path
    run: Path
    resume: Path


@dataclass(frozen=True)
class TrialFiles:
    """What a trial writes. `resume` is gone when it is done."""

    trial: Path
    resume: Path


@dataclass(frozen=True)
class Job:
    """One run: its place in the experiment, its settings, and its files."""

    name: RunName
    strategy: Strategy
    files: TrainingFiles
    outputs: RunFiles | TrialFiles
