"""The tutorial's small job as a process of its own: every step logged, the model kept.

Arguments: folder of the training images, folder of the validation images, image size, epochs,
MLflow store, and the file for the step's seconds.
"""

import sys
from pathlib import Path

import baseline
import mlflow
import torch
from step_timer import StepTimer


def main(train: Path, val: Path, size: int, epochs: int, store: str, output: Path) -> None:
    timer = StepTimer()
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("tutorial")
    torch.manual_seed(0)
    network = baseline.model("resnet18")
    optimizer = baseline.optimizer(network)
    train_batches = baseline.loader(train, size, 32, baseline.CROP)
    val_batches = baseline.loader(val, size, 32, baseline.PLAIN)
    with mlflow.start_run():
        mlflow.log_params({"size": size, "epochs": epochs, "batch_size": 32, "lr": 1e-3})
        step = 0

        def log(loss: float) -> None:
            nonlocal step
            step += 1
            mlflow.log_metric("train_loss", loss, step)

        for epoch in range(epochs):
            baseline.train(network, optimizer, train_batches, log=log)
            mlflow.log_metric("val_accuracy", baseline.evaluate(network, val_batches), epoch)
        example = torch.zeros(2, 3, size, size).numpy()
        mlflow.pytorch.log_model(network, name="model", input_example=example)
    output.write_text(str(timer.seconds))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
        sys.argv[5],
        Path(sys.argv[6]),
    )
