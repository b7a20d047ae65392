"""What made a run: settings, split, weights, versions, commit and device."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from headstart import HeadstartError, __version__
from headstart.compute import devices
from headstart.experiment import config

#: What a result cost its device, in run.json: training, the features it shares, and the tuning.
DEVICE_SECONDS = ("device_seconds", "feature_device_seconds", "tuning_device_seconds")

_LIBRARIES = ("mlflow", "numpy", "scikit-learn", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class RunName:
    """What tells a run from the others of its experiment."""

    experiment: str
    strategy: str
    fraction: float
    split: int
    seed: int

    @staticmethod
    def of(experiment: str, place: Any) -> "RunName":
        """The run that wildcards strategy, fraction, split and seed, all text, stand for."""
        fraction, split, seed = float(place.fraction), int(place.split), int(place.seed)
        return RunName(experiment, place.strategy, fraction, split, seed)

    def __str__(self) -> str:
        return f"{self.strategy}/fraction-{self.fraction}/split-{self.split}/seed-{self.seed}"


def device_seconds(run: dict[str, Any]) -> float:
    """What a result cost its device, from the content of its run.json."""
    return float(sum(run[part] for part in DEVICE_SECONDS))


def digest(value: Any) -> str:
    """Hex SHA-256 of a JSON-serialisable value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, run: dict[str, Any]) -> None:
    """Write a run.json."""
    path.write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")


def require_whole(model: Path, run: dict[str, Any]) -> None:
    """Refuse a model that is not the one its run left.

    Args:
        run: the content of the run.json beside it.

    Raises:
        HeadstartError: the file's hash is another.
    """
    if file_hash(model) != run.get("model_sha256"):
        raise HeadstartError(
            f"{model} is damaged: its SHA-256 is not that in run.json; delete it and run the "
            "experiment again"
        )


def made_by(
    name: RunName,
    strategy: config.Strategy,
    description: dict[str, Any],
    hashes: dict[str, str],
    device: devices.Device,
) -> dict[str, Any]:
    """Everything that decides a run's result, and so whether an interrupted one can go on.

    A lease may give the next attempt another GPU of the same kind, or another thread count.

    Args:
        description: the content of backbone/config.json.
        hashes: of what training reads: split_hash of the images and their parts, data_hash of
            labels, pixels and features.
    """
    return {
        "strategy": config.plain(strategy),
        "backbone": description,
        "fraction": name.fraction,
        "seed": name.seed,
        **hashes,
        "versions": {"headstart": __version__}
        | {library: metadata.version(library) for library in _LIBRARIES},
        "device": {"type": device.type, "name": device.name, "precision": device.precision},
    }


def git_commit() -> str:
    """The commit of this checkout, with -dirty when files differ from it; empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def place(name: RunName) -> dict[str, str]:
    """Where a run stands in its experiment, as MLflow's tags."""
    return {key: str(value) for key, value in asdict(name).items() if key != "experiment"}


def tags(name: RunName, made_by: dict[str, Any]) -> dict[str, str]:
    """What the MLflow UI can filter runs by."""
    return place(name) | {
        "config_hash": digest([made_by["strategy"], made_by["backbone"]]),
        "split_hash": made_by["split_hash"],
        "git_commit": git_commit(),
        "device": made_by["device"]["name"],
    }
