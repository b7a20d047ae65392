"""The files of a trained run: model, history and run.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from safetensors.torch import save_file
from torch import nn

from headstart import provenance
from headstart.compute import devices
from headstart.experiment.config import Phase
from headstart.models import adapters, layers
from headstart.training import probes
from headstart.training.checkpoints import Progress
from headstart.training.inputs import Inputs
from headstart.training.jobs import RunFiles


def write(inputs: Inputs, outputs: RunFiles, progress: Progress, whole: nn.Module) -> None:
    """Write the run's outputs.

    Args:
        whole: the kept model, backbone and head, on the CPU.
    """
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, outputs.model)
    history = pd.DataFrame(progress.history).astype({"epoch": int, "phase": int})
    history.to_csv(outputs.history, index=False)
    run = _made_by(inputs) | _cost(inputs, progress, whole)
    run |= {"best_epoch": progress.best_epoch, "mlflow_run_id": progress.mlflow_run_id}
    run |= {"key": provenance.digest(inputs.made_by)}
    run |= {"model_sha256": provenance.file_hash(outputs.model)}
    provenance.write(outputs.run, run)


def is_done(inputs: Inputs, outputs: RunFiles) -> bool:
    """Whether the files are those of this very run."""
    if not outputs.run.exists():
        return False
    return bool(json.loads(outputs.run.read_text())["key"] == provenance.digest(inputs.made_by))


def _made_by(inputs: Inputs) -> dict[str, Any]:
    job, device, made_by = inputs.job, inputs.device, inputs.made_by
    tags = provenance.tags(job.name, made_by)
    description, labels = inputs.backbone.description, inputs.examples.labels
    pretrained = job.strategy.init == "pretrained"
    return asdict(job.name) | {
        "config_hash": tags["config_hash"],
        "split_hash": inputs.split_hash,
        "data_hash": inputs.data_hash,
        "settings": {"strategy": made_by["strategy"], "backbone": description},
        "versions": made_by["versions"],
        "git_commit": tags["git_commit"],
        "device": device.name,
        "device_uuid": device.uuid,
        "precision": device.precision,
        "threads": device.threads,
        "weights": description["weights"] if pretrained else job.strategy.init,
        "weights_sha256": description["weights_sha256"] if pretrained else "",
        "n_train": len(labels["train"]),
        "n_val": len(labels["val"]),
        "trained_on_val": probes.trains_on_val(job.strategy, inputs.examples),
    }


def _cost(inputs: Inputs, progress: Progress, whole: nn.Module) -> dict[str, Any]:
    """What the run cost: epochs, seconds, bytes and numbers of parameters."""
    history = pd.DataFrame(progress.history)
    meta = inputs.job.files.features_meta
    features = json.loads(meta.read_text()) if meta else {}
    choice = inputs.job.files.choice
    tuned = json.loads(choice.read_text()) if choice else {}
    return {
        "epochs": len(history),
        "train_seconds": float(history.seconds.sum()),
        "device_seconds": progress.device_seconds,
        "feature_seconds": features.get("seconds", 0.0),
        "feature_device_seconds": features.get("device_seconds", 0.0),
        "trials": len(tuned.get("trials", [])),
        "tuning_device_seconds": tuned.get("device_seconds", 0.0),
        "images_per_second": float(history.images_per_second.median()),
        "images_at_once": progress.at_once,
        "peak_memory_bytes": devices.peak_memory_bytes(inputs.device),
        "trainable_parameters": _trained(whole, inputs.job.strategy.phases),
        "parameters": sum(parameter.numel() for parameter in whole.parameters()),
    }


def _trained(whole: nn.Module, phases: Sequence[Phase]) -> int:
    """How many numbers any phase trained; those of low-rank changes are no longer there."""
    parts = [part for phase in phases for part in layers.trainable_names(whole, phase)]
    parameters, head = dict(whole.named_parameters()), layers.head_name(whole)
    own = sum(parameters[name].numel() for name in {name for part in parts for name in part})
    ranks = [phase.rank for phase in phases if phase.train == "lora"]
    return own + sum(adapters.low_rank_size(whole, head, rank) for rank in ranks)
