"""One MLflow run per training, below one parent run per experiment."""

import contextlib
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError
from headstart.tracking import connection, database, outages, projects, store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from torch import nn

#: The tag of a run that `headstart index` made: the id in run.json that it stands for.
STANDS_FOR = "headstart.stands_for"

_METRICS = 1000  # that MLflow takes in one call


@dataclass(frozen=True)
class RunLog:
    """One MLflow run; `open` continues it by its id, `start` makes a new one."""

    client: "MlflowClient"
    run_id: str

    @staticmethod
    def find(tracking: dict[str, str], run_id: str) -> "RunLog | None":
        """The run of an id, or the one that `headstart index` made in its place.

        Raises:
            HeadstartError: the store is gone, or does not answer.
        """
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException

        client = store.client(tracking["uri"])
        query = f"tags.`{STANDS_FOR}` = '{run_id}' and tags.`headstart.superseded` = 'false'"
        found = client.search_runs([tracking["experiment_id"]], query, ViewType.ALL)
        try:
            run = found[0] if found else client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        return RunLog(client, str(run.info.run_id))

    @staticmethod
    def open(tracking: dict[str, str], run_id: str) -> "RunLog":
        """Continue a run; one that was deleted in the MLflow UI is restored.

        Raises:
            HeadstartError: the store no longer has it.
        """
        log = RunLog.find(tracking, run_id)
        if log is None:
            raise HeadstartError(
                f"MLflow run {run_id} is not in {store.shown(tracking['uri'])}; {database.ADVICE}"
            )
        store.restore_run(log.client, log.run_id)
        log.client.update_run(log.run_id, status="RUNNING")
        return log

    @staticmethod
    def start(
        tracking: dict[str, str], key: str, settings: dict[str, Any], tags: dict[str, str]
    ) -> "RunLog":
        """A new run under the experiment's parent run.

        The project's older runs of the same key are superseded; one that a kill left running is
        closed.

        Args:
            key: names the run within its experiment and project: strategy/fraction/seed.
            tags: may name another kind and another parent than a training's.

        Raises:
            HeadstartError: the store no longer has the experiment.
        """
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        client = store.client(tracking["uri"])
        experiment = tracking["experiment_id"]
        own = {"headstart.kind": "run", "mlflow.parentRunId": tracking["parent_run_id"]}
        tags = own | tags | {"headstart.run": key, "headstart.superseded": "false"}
        tags |= {projects.TAG: tracking["project"]}
        query = f"tags.`headstart.run` = '{key}'"
        try:
            store.restore_experiment(client, experiment)
            older = client.search_runs([experiment], connection.current(tracking, query))
            run_id = client.create_run(experiment, tags=tags, run_name=key).info.run_id
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise HeadstartError(
                f"MLflow experiment {experiment} is not in {store.shown(tracking['uri'])}; "
                f"{database.ADVICE}"
            ) from None
        parameters = [Param(name, value[:6000]) for name, value in flatten(settings).items()]
        for begin in range(0, len(parameters), 100):
            client.log_batch(run_id, params=parameters[begin : begin + 100])
        for run in older:
            client.set_tag(run.info.run_id, "headstart.superseded", "true")
            client.set_tag(run.info.run_id, "headstart.superseded_by", run_id)
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        return RunLog(client, run_id)

    def metrics(self, values: dict[str, float]) -> None:
        """Log values that belong to no epoch."""
        self._log([(name, value, 0) for name, value in values.items()])

    def epochs(self, history: Iterable[dict[str, float]]) -> None:
        """Log the history's rows that are not in the store yet, an epoch being a step."""
        known = self.client.get_metric_history(self.run_id, "val_loss")
        last = max((metric.step for metric in known), default=0)
        self._log(
            [
                (name, value, int(row["epoch"]))
                for row in history
                if row["epoch"] > last
                for name, value in row.items()
                if name not in ("epoch", "phase")
            ]
        )

    def _log(self, metrics: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value, step in metrics]
        for begin in range(0, len(batch), _METRICS):
            self.client.log_batch(self.run_id, metrics=batch[begin : begin + _METRICS])

    def describe(self, text: str) -> None:
        """Set the description that the MLflow UI shows on the run's page."""
        self.client.set_tag(self.run_id, "mlflow.note.content", text)

    def files(self, paths: Iterable[Path], folder: str | None = None) -> None:
        with outages.patience():
            for path in paths:
                self.client.log_artifact(self.run_id, str(path), folder)

    def dataset(self, frame: "pd.DataFrame", name: str, source: str) -> None:
        """Log the images and labels that the run trained on as its input."""
        import mlflow
        from mlflow.entities import DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # two of MLflow's source types claim a local path
            data = mlflow.data.from_pandas(frame, source=source, name=name, targets="label")
        tags = [InputTag("mlflow.data.context", "training")]
        inputs = [DatasetInput(data._to_mlflow_entity(), tags)]
        try:
            self.client.log_inputs(self.run_id, inputs)
        except MlflowException:
            # Another run made the same entry between this one's look and its insert.
            self.client.log_inputs(self.run_id, inputs)

    def model(self, model: "nn.Module", example: "np.ndarray") -> None:
        """Log the model with its signature.

        Args:
            example: normalised images (n >= 2, 3, size, size), float32.
        """
        import mlflow
        import torch
        from mlflow.models import infer_signature

        model = model.cpu().eval()
        with torch.inference_mode():
            output = model(torch.from_numpy(example)).numpy()
        with outages.patience(), mlflow.start_run(run_id=self.run_id):
            mlflow.pytorch.log_model(
                model,
                name="model",
                signature=infer_signature(example, output),
                input_example=example,
                pip_requirements=["torch", "torchvision", "timm"],
                validate_serving_input=False,
            )

    def end(self, status: str = "FINISHED") -> None:
        self.client.set_terminated(self.run_id, status)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """End the run as the block ends: finished, failed or killed.

        Raises:
            HeadstartError: the store stopped to answer.
        """
        from mlflow.exceptions import MlflowException

        try:
            yield
            self.end()
        except BaseException as error:
            with contextlib.suppress(MlflowException):
                self.end("FAILED" if isinstance(error, Exception) else "KILLED")
            if isinstance(error, MlflowException):
                first = str(error).splitlines()[0][:200]
                raise HeadstartError(f"MLflow takes no more of this run: {first}") from None
            raise


def flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text: {"a": {"b": [1]}} -> {"a.b.0": "1"}."""
    if isinstance(settings, dict):
        items: Iterable[tuple[Any, Any]] = settings.items()
    elif isinstance(settings, list | tuple):
        items = enumerate(settings)
    else:
        return {prefix: str(settings)}
    flat: dict[str, str] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
