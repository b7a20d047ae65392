"""Mix the weights of a probe's model and of a fine-tuned one; validation chooses the shares."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from headstart import logs, paths, provenance
from headstart.compute import devices, leases
from headstart.data.cache import ImageCache

logger = logging.getLogger("headstart.mix")


@dataclass(frozen=True)
class Files:
    start_model: Path
    start_run: Path
    end_model: Path
    end_run: Path
    backbone: Path
    train_val: Path
    classes: Path
    images: Path
    index: Path
    tracking: Path
    model: Path
    history: Path
    run: Path


def main(files: Files, name: provenance.RunName, threads: int) -> None:
    from safetensors.torch import load_file, save_file

    from headstart import derivation
    from headstart.models import mixing

    start, end = (json.loads(path.read_text()) for path in (files.start_run, files.end_run))
    provenance.require_whole(files.start_model, start)
    provenance.require_whole(files.end_model, end)
    device = devices.open_device(end["precision"], threads)
    began = devices.seconds_spent(device)
    train_val = pd.read_csv(files.train_val, dtype=str, keep_default_na=False)
    validate = derivation.Validation(
        json.loads(files.backbone.read_text()),
        json.loads(files.classes.read_text()),
        ImageCache.open(files.images, files.index),
        train_val[train_val.split == "val"],
        end["settings"]["strategy"]["training"]["loss"],
        device,
    )
    states = load_file(files.start_model), load_file(files.end_model)
    shares = derivation.HALF if start["trained_on_val"] else derivation.SHARES
    history = derivation.mixtures(*states, shares, validate)
    best = history.loc[history.val_loss.idxmin()]
    logger.info("%.0f %% of the fine-tuned weights validate best", 100 * best.lr)
    save_file(mixing.mixed(*states, float(best.lr)), files.model)
    history.to_csv(files.history, index=False)
    spent = devices.seconds_spent(device) - began
    run = derivation.record([start, end], asdict(name), "wise_ft", spent)
    run |= {"best_epoch": int(best.epoch), "epochs": len(history)}
    run |= {"model_sha256": provenance.file_hash(files.model)}
    derivation.leave(run, files.run, files.tracking, history=files.history)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]), leases.lease(snakemake.resources.get("gpu", 0)):
        main(
            paths.named(Files, snakemake.input, snakemake.output),
            provenance.RunName.of(snakemake.params.experiment, snakemake.wildcards),
            snakemake.threads,
        )
