"""What a trial leaves for tuning to judge it by."""

import json
from pathlib import Path

import numpy as np
import torch

from headstart.experiment import config, tuning
from headstart.models import calibration
from headstart.training import inputs as reading
from headstart.training.checkpoints import Progress
from headstart.training.inputs import Inputs


def write(inputs: Inputs, path: Path, progress: Progress) -> None:
    """Write a trial's validation scores, those of its kept epoch, and its cost."""
    kept = progress.history[progress.best_epoch - 1]
    losses = progress.val_losses or refined_losses(inputs, progress).tolist()
    trial = {
        "tried": tuning.tried(inputs.job.strategy),
        "val_loss": float(np.mean(losses)),
        "val_accuracy": kept["val_accuracy"],
        "losses": losses,
        "device_seconds": progress.device_seconds,
        "strategy": config.plain(inputs.job.strategy),
    }
    path.write_text(json.dumps(trial, indent=2) + "\n")


@torch.inference_mode()
def refined_losses(inputs: Inputs, progress: Progress) -> np.ndarray:
    """The log loss (n_val,) of each validation image, float64, as if the model were calibrated.

    A temperature is fitted on the same images: what is left tells models apart by what they
    know and not by how sure they are, which is mended at the end (Berta et al. 2025, "Rethinking
    early stopping: refine, then calibrate").
    """
    task, batches = reading.prepare(inputs)
    task.model.load_state_dict(progress.best_model)
    task.infer_mode()
    shares, labels = [], []
    for images, targets in batches.val():
        shares.append(task.infer(images).softmax(1).cpu().numpy())
        labels.append(targets.cpu().numpy())
    probabilities, classes = np.concatenate(shares), np.concatenate(labels)
    temperature = calibration.temperature(probabilities, classes, at_least=1)
    return calibration.losses(calibration.tempered(probabilities, temperature), classes)
