"""The MLflow index made again from results/: what jobs logged, from the files they left."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import HeadstartError, prediction
from headstart.data.cache import ImageCache
from headstart.tracking import connection, entries, outages, store
from headstart.tracking.runlog import STANDS_FOR, RunLog

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

_RUNS = "runs/*/*/*/*/run.json"
_CHOICES = "tuning/*/*/*/choice.json"


def make(results: Path, address: str = "", experiment: str = "*") -> Iterator[tuple[str, int, int]]:
    """Log what the experiments under `results` have and the store lacks.

    The files stay as they are, but for tracking.json, which says where jobs log: a run keeps its
    id in run.json, and the store's run is found by it.

    Args:
        address: of another store than the jobs'.
        experiment: that alone; by default all.

    Yields:
        Of each experiment its name, the number of its runs and of those that were logged now.

    Raises:
        HeadstartError: there is no experiment, or the store cannot be used.
    """
    from mlflow.exceptions import MlflowException

    folders = sorted({path.parents[5] for path in results.glob(f"{experiment}/{_RUNS}")})
    if not folders:
        raise HeadstartError(f"no experiment under {results}/ has a trained run; nothing to index")
    for folder in folders:
        try:
            yield (folder.name, *_experiment(folder, results / "mlflow", address))
        except MlflowException as error:
            raise HeadstartError(
                f"{folder}: the MLflow store refuses: {store.reason(error)}"
            ) from None


def _experiment(folder: Path, mlflow: Path, address: str) -> tuple[int, int]:
    prepared = connection.prepare(mlflow, folder.name, address)
    if not address:
        connection.write(folder / "tracking.json", prepared)
    records = sorted(folder.glob(_RUNS))
    new = [path for path in records if not _is_there(prepared, path)]
    for path in new:
        _log(prepared, folder, path)
    for path in sorted(folder.glob(_CHOICES)):
        key = entries.tuning_key(json.loads(path.read_text()))
        if not _finished(prepared, key):
            entries.chosen(prepared, path)
    _log_whole(prepared, folder)
    if not address:
        outages.mark(folder / "tracking.json").unlink(missing_ok=True)
    return len(records), len(new)


def _finished(prepared: dict[str, str], key: str) -> "list[Run]":
    query = f"tags.`headstart.run` = '{key}' and attributes.status = 'FINISHED'"
    query = connection.current(prepared, query)
    return list(store.client(prepared["uri"]).search_runs([prepared["experiment_id"]], query))


def _is_there(prepared: dict[str, str], record: Path) -> bool:
    """Whether the store has all of a run: one that a kill cut short is logged again."""
    run = json.loads(record.read_text())
    log = RunLog.find(prepared, run["mlflow_run_id"])
    if log is None:
        return False
    store.restore_run(log.client, log.run_id)
    found = log.client.get_run(log.run_id)
    tested = record.with_name("metrics.json").exists()
    whole = {"device_seconds", *(["test_accuracy"] if tested else [])}
    return found.info.status == "FINISHED" and whole <= set(found.data.metrics)


def _log(prepared: dict[str, str], folder: Path, record: Path) -> None:
    run = json.loads(record.read_text())
    name = entries.name(run)
    settings, tags = entries.described(run)
    tags |= {STANDS_FOR: run["mlflow_run_id"]}
    log = RunLog.start(prepared, str(name), settings, tags)
    logger.info("%s: %s", folder.name, name)
    history, metrics = record.with_name("history.csv"), record.with_name("metrics.json")
    with log.ending():
        if not run.get("derived"):
            _log_training(log, folder, record)
        entries.trained(log, record, history if history.exists() else None)
        if metrics.exists():
            entries.tested(log, metrics)


def _log_training(log: RunLog, folder: Path, record: Path) -> None:
    """What a training logs beside its files: its images, and the model if it is still there."""
    from headstart.training import inputs

    run = json.loads(record.read_text())
    name = entries.name(run)
    table = folder / f"splits/{name.split}/train_val.csv"
    frame = inputs.of_run(pd.read_csv(table, dtype=str, keep_default_na=False), name)
    log.dataset(frame, name.experiment, str(table))
    path = record.with_name("model.safetensors")
    if path.exists():
        classes = json.loads((folder / "classes.json").read_text())
        model = prediction.load_model(run, len(classes), path)
        log.model(model, _example(folder, frame, run["settings"]["backbone"]["image"]))


def _example(folder: Path, frame: pd.DataFrame, image: dict[str, Any]) -> np.ndarray:
    """Two of the run's images; mean grey where the cache was removed."""
    from headstart.training import inputs

    files = folder / "cache/images.bin", folder / "cache/index.csv"
    if not all(path.exists() for path in files):
        return np.zeros((2, 3, image["size"], image["size"]), np.float32)
    return inputs.input_example(ImageCache.open(*files), frame, image)


def _log_whole(prepared: dict[str, str], folder: Path) -> None:
    """The experiment's own run: the comparison and the report, as far as they are there."""
    from headstart.report.figures.style import looks

    if (folder / "comparison/verdict.json").exists():
        names = pd.read_csv(folder / "comparison/runs.csv")["strategy"]
        colours = {name: look.colour for name, look in looks(names).items()}
        entries.compared(prepared, folder / "comparison", colours)
    if (folder / "report.html").exists():
        entries.reported(prepared, folder / "report.html")
