"""One run, from its input files to its output files: model, history, run.json, MLflow."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import HeadstartError, provenance
from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.experiment import config
from headstart.provenance import RunName
from headstart.training import inputs
from headstart.training.checkpoints import Progress, ResumeFile, digest

if TYPE_CHECKING:
    from torch import nn

    from headstart.tracking import RunLog

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """What a training writes. `resume` is gone when the training is done."""

    model: Path
    history: Path
    run: Path
    resume: Path


def train_on(
    gpus: Sequence[str],
    log_file: str | Path,
    name: RunName,
    strategy: config.Strategy,
    files: inputs.TrainingFiles,
    outputs: RunFiles,
    threads: int,
) -> None:
    """Train one run as `train` does, on the leased GPUs: on several, in a process for each.

    Args:
        log_file: receives the messages of those processes.
        threads: CPU threads of all processes together.
    """
    wanted = strategy.training.gpus
    if len(gpus) > 1:
        from headstart.compute import parallel

        share = max(1, threads // len(gpus))
        parallel.launch(len(gpus), log_file, train, name, strategy, files, outputs, share)
        return
    if wanted > 1 and files.features is None:
        logger.info(
            "training.gpus is %d, leased are %d: training in one process", wanted, len(gpus)
        )
    train(name, strategy, files, outputs, threads)


def train(
    name: RunName,
    strategy: config.Strategy,
    files: inputs.TrainingFiles,
    outputs: RunFiles,
    threads: int,
) -> None:
    """Train one run and leave its files; an interrupted one goes on where it stopped.

    Where several processes train it together, all call this, and the first leaves the files.

    Raises:
        HeadstartError: training diverged, or a file does not fit the others.
    """
    from headstart import tracking
    from headstart.compute import parallel
    from headstart.training import loop, losses

    device = devices.open_device(strategy.training.precision, threads)
    description = json.loads(files.backbone.read_text())
    cache = ImageCache.open(files.images, files.index)
    examples = inputs.read_examples(files, cache, name)
    made_by = provenance.made_by(name, strategy, description, examples.split_hash, device)
    resume = ResumeFile(outputs.resume, digest(made_by))
    store = tracking.read(files.tracking)
    log: RunLog | None = None

    def begin(progress: Progress) -> None:
        nonlocal log
        if progress.mlflow_run_id:
            try:
                log = tracking.RunLog.open(store, progress.mlflow_run_id)
                return
            except HeadstartError as error:
                logger.warning("%s; logging all epochs to a new run", error)
        settings = {key: made_by[key] for key in ("strategy", "backbone", "fraction", "seed")}
        log = tracking.RunLog.start(store, str(name), settings, provenance.tags(name, made_by))
        log.dataset(examples.frame, name.experiment, str(files.train_val))
        progress.mlflow_run_id = log.run_id

    def on_save(progress: Progress) -> None:
        assert log is not None
        log.epochs(progress.history)

    if strategy.is_probe:
        progress = _fit_probe(name, strategy, files, examples, begin, on_save)
    else:
        model, batches = inputs.prepare(name, strategy, files, cache, examples, description, device)
        loss = losses.loss_function(strategy.training, examples.labels["train"], device)
        progress = loop.fit(
            model, batches, strategy, loss, device, name.seed, resume, begin, on_save
        )
    if parallel.rank() > 0:
        return
    whole = inputs.whole_model(progress, strategy, description, files, examples)
    _write(name, strategy, files, outputs, progress, made_by, examples, device, whole)
    assert log is not None
    log.files([outputs.run, outputs.history])
    log.model(whole, inputs.input_example(cache, examples, description))
    log.end()
    resume.remove()


def _fit_probe(
    name: RunName,
    strategy: config.Strategy,
    files: inputs.TrainingFiles,
    examples: inputs.Examples,
    begin: Callable[[Progress], None],
    on_save: Callable[[Progress], None],
) -> Progress:
    from headstart.training import probes

    assert files.features is not None
    plain = np.load(files.features, mmap_mode="r")[0]
    parts = {part: plain[rows] for part, rows in examples.rows.items()}
    phase = strategy.phases[0]
    select_by = strategy.training.select_by
    return probes.fit(phase, parts, examples.labels, name.seed, select_by, begin, on_save)


def _write(
    name: RunName,
    strategy: config.Strategy,
    files: inputs.TrainingFiles,
    outputs: RunFiles,
    progress: Progress,
    made_by: dict[str, Any],
    examples: inputs.Examples,
    device: devices.Device,
    whole: "nn.Module",
) -> None:
    from safetensors.torch import save_file

    from headstart.models import layers

    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, outputs.model)
    history = pd.DataFrame(progress.history).astype({"epoch": int, "phase": int})
    history.to_csv(outputs.history, index=False)
    meta = json.loads(files.features_meta.read_text()) if files.features_meta else {"seconds": 0.0}
    parameters = dict(whole.named_parameters())
    trained = {
        n
        for phase in strategy.phases
        for part in layers.trainable_names(whole, phase)
        for n in part
    }
    tags = provenance.tags(name, made_by)
    description = made_by["backbone"]
    run = asdict(name) | {
        "config_hash": tags["config_hash"],
        "split_hash": tags["split_hash"],
        "settings": {"strategy": made_by["strategy"], "backbone": description},
        "versions": made_by["versions"],
        "git_commit": tags["git_commit"],
        "device": device.name,
        "device_uuid": device.uuid,
        "precision": device.precision,
        "threads": device.threads,
        "weights": description["weights"] if strategy.init == "pretrained" else strategy.init,
        "weights_sha256": description["weights_sha256"] if strategy.init == "pretrained" else "",
        "n_train": len(examples.labels["train"]),
        "n_val": len(examples.labels["val"]),
        "epochs": strategy.epochs,
        "best_epoch": progress.best_epoch,
        "train_seconds": float(history.seconds.sum()),
        "feature_seconds": meta["seconds"],
        "images_per_second": float(history.images_per_second.median()),
        "peak_memory_bytes": devices.peak_memory_bytes(device),
        "trainable_parameters": sum(parameters[n].numel() for n in trained),
        "parameters": sum(p.numel() for p in parameters.values()),
        "mlflow_run_id": progress.mlflow_run_id,
    }
    outputs.run.write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")
