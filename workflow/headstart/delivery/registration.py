"""MLflow's model registry: an exported model under a name of the user's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import HeadstartError
from headstart.tracking import connection, database, store
from headstart.tracking.runlog import RunLog

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models.model import ModelInfo

_LONGEST = 5000  # characters of a description that servers take


def register(package: Path, run: dict[str, Any], name: str, folder: Path) -> str:
    """Log an exported model to its MLflow run and make it a version of the registered model.

    Args:
        package: folder of the export.
        run: the content of run.json.
        name: of the registered model, which is made unless it is there.
        folder: of the MLflow store, unless MLFLOW_TRACKING_URI names another.

    Returns:
        The address of the version, models:/NAME/VERSION.

    Raises:
        HeadstartError: the store lacks the run, or does not take the name.
    """
    import onnx
    from mlflow.exceptions import MlflowException

    address = connection.uri(folder)
    if address.startswith("sqlite:///") and not Path(address.removeprefix("sqlite:///")).is_file():
        raise HeadstartError(f"{address} does not exist, so that --register has nowhere to go")
    experiment = store.client(address).get_experiment_by_name(run["experiment"])
    if experiment is None:
        raise HeadstartError(
            f"{address} lacks the experiment {run['experiment']}; {database.ADVICE}"
        )
    known = {"uri": address, "experiment_id": experiment.experiment_id}
    log = RunLog.open(known, run["mlflow_run_id"])
    model = onnx.load(package / "model.onnx")
    try:
        _require_name(log.client, name)
        card = (package / "README.md").read_text(encoding="utf-8")
        keys = ("experiment", "strategy", "fraction", "split", "seed", "split_hash")
        logged = _log(log, model)
        version = log.client.create_model_version(
            name,
            logged.model_uri,
            log.run_id,
            tags={key: str(run[key]) for key in keys},
            description=card[:_LONGEST],
            model_id=logged.model_id,
        )
    except MlflowException as error:
        reason = " ".join(str(error).split())[:200]
        raise HeadstartError(f"--register {name}: MLflow refuses ({reason})") from None
    finally:
        log.end()
    return f"models:/{name}/{version.version}"


def _require_name(client: "MlflowClient", name: str) -> None:
    """Make the registered model, unless it is there, so that a bad name leaves nothing behind."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log(log: RunLog, model: Any) -> "ModelInfo":
    """Log the model to the run, with its signature."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    (given,), (made,) = model.graph.input, model.graph.output
    tensors = (
        Schema([TensorSpec(np.dtype(np.float32), _shape(tensor), tensor.name)])
        for tensor in (given, made)
    )
    with mlflow.start_run(run_id=log.run_id):
        return mlflow.onnx.log_model(
            model,
            name="onnx",
            signature=ModelSignature(*tensors),
            pip_requirements=["onnx", "onnxruntime"],
            onnx_execution_providers=["CPUExecutionProvider"],
        )


def _shape(tensor: Any) -> tuple[int, ...]:
    """The shape, -1 for what is dynamic."""
    return tuple(side.dim_value or -1 for side in tensor.type.tensor_type.shape.dim)
