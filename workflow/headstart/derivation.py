"""Strategies made from others' trained models, for the price of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import prediction, provenance
from headstart.compute.devices import Device
from headstart.data.cache import ImageCache
from headstart.models import backbones, mixing
from headstart.tracking import connection, entries, outages
from headstart.tracking.runlog import RunLog

if TYPE_CHECKING:
    from torch import Tensor

    State = dict[str, Tensor]

#: Shares of the fine-tuned weights that validation chooses from.
SHARES = tuple(round(0.1 * tenth, 1) for tenth in range(11))
#: Wortsman et al.'s own choice, where no image is left to choose by.
HALF = (0.5,)


def mixtures(
    start: "State", end: "State", shares: Sequence[float], validate: "Validation"
) -> pd.DataFrame:
    """How each share of the weights validates, in the columns of history.csv.

    A row's learning rate column holds the share; nothing was trained.

    Raises:
        HeadstartError: the two models differ in their layers.
    """
    rows = []
    for number, share in enumerate(shares, start=1):
        scores = validate(mixing.mixed(start, end, share))
        rows.append({"epoch": number, "phase": 0, "lr": share, **scores})
    return pd.DataFrame(rows).assign(train_loss=np.nan, train_accuracy=np.nan)


class Validation:
    """Loss and accuracy of weights on the validation images."""

    def __init__(
        self,
        description: dict[str, Any],
        classes: list[str],
        cache: ImageCache,
        val: pd.DataFrame,
        loss: str,
        device: Device,
    ) -> None:
        """`val` has columns id and label, `description` is backbone/config.json's content."""
        self._description, self._classes, self._loss = description, classes, loss
        self._cache, self._device, self._ids = cache, device, list(val.id)
        self._labels = pd.Categorical(val.label, categories=classes).codes

    def __call__(self, state: "State") -> dict[str, float]:
        model = backbones.untrained(self._description, len(self._classes))
        model.load_state_dict(state)
        image = self._description["image"]
        classifier = prediction.Classifier(model.eval(), self._classes, image, self._loss)
        shares = prediction.probabilities(classifier, self._cache, self._ids, self._device)
        right = shares[np.arange(len(self._labels)), self._labels]
        return {
            "val_loss": float(-np.log(right + 1e-12).mean()),
            "val_accuracy": float((shares.argmax(axis=1) == self._labels).mean()),
        }


def averaged(predictions: Sequence[pd.DataFrame], classes: Sequence[str]) -> np.ndarray:
    """The mean probabilities of runs on the same images, float32 (n, K).

    Args:
        predictions: of each run, in the format of predictions.parquet, rows in one order.
    """
    columns = [f"p:{name}" for name in classes]
    return np.stack([frame[columns].to_numpy(np.float32) for frame in predictions]).mean(axis=0)


def record(
    members: Sequence[dict[str, Any]], place: dict[str, Any], kind: str, own_seconds: float
) -> dict[str, Any]:
    """The run.json of a derived run: what the last member's says, at the cost of all of them."""
    costs = (*provenance.DEVICE_SECONDS, "train_seconds", "feature_seconds")
    total = {name: sum(member[name] for member in members) for name in costs}
    total["device_seconds"] += own_seconds
    total["trials"] = max(member["trials"] for member in members)
    on_val = any(member["trained_on_val"] for member in members)
    own = {"derived": kind, "trained_on_val": on_val, "mlflow_run_id": outages.made_up_id()}
    return members[-1] | place | total | own


def leave(
    run: dict[str, Any],
    path: Path,
    known: Path,
    *,
    history: Path | None = None,
    metrics: Path | None = None,
) -> None:
    """Write a derived run's record, and log it to MLflow with what else there is of it.

    Args:
        run: from `record`.
        path: the run.json.
        known: the experiment's tracking.json.
        history: of a mixture.
        metrics: of an ensemble, which is made of predictions and so is tested as it is made.
    """
    provenance.write(path, run)
    with outages.spared(known):
        key = str(entries.name(run))
        log = RunLog.start(connection.reach(known), key, *entries.described(run))
        with log.ending():
            provenance.write(path, run | {"mlflow_run_id": log.run_id})
            entries.trained(log, path, history)
            if metrics:
                entries.tested(log, metrics)
