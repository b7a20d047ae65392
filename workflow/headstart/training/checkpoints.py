"""The resume state that a training leaves as it goes, and the best model so far."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)

#: Between two saves passes this many times the time that one takes.
PAUSE = 50.0


@dataclass
class Progress:
    """Everything a training needs to go on after the last epoch that was saved.

    Random numbers need no saved state: each epoch draws from a generator seeded by
    (run seed, epoch), so an interrupted run draws what an uninterrupted one does.
    """

    epoch: int = 0
    task: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: tuple[float, float] = (0.0, 0.0)
    best_model: "State" = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    device_seconds: float = 0.0
    mlflow_run_id: str = ""

    def add(self, row: dict[str, float], select_by: str, model: "Callable[[], State]") -> None:
        """Note an epoch's row of the history, and keep its model if it is the best yet.

        Args:
            select_by: what decides: last, or the validation score accuracy or loss, the other
                deciding between equals.
            model: gives the state dict of the epoch's model.
        """
        self.epoch = int(row["epoch"])
        self.history.append(row)
        accuracy, loss = row["val_accuracy"], row["val_loss"]
        score = (accuracy, -loss) if select_by == "accuracy" else (-loss, accuracy)
        if select_by == "last" or self.best_epoch == 0 or score > tuple(self.best_score):
            self.best_epoch, self.best_score = self.epoch, score
            self.best_model = model()


class ResumeFile:
    """A progress file that belongs to one exact training and vanishes when it is done."""

    def __init__(self, path: Path, key: str) -> None:
        """`key` is the digest of everything that decides the result of the training."""
        self.path = path
        self.key = key
        self._due = 0.0

    def due(self) -> bool:
        """Whether saving now leaves it a small share of the time; the first time it always does."""
        return time.monotonic() >= self._due

    def load(self) -> Progress:
        """The progress of an interrupted run of the same key, or a fresh start."""
        import torch

        if not self.path.exists():
            return Progress()
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            if saved.pop("key") != self.key:
                logger.info("%s was made with other settings: starting afresh", self.path)
                return Progress()
            progress = Progress(**saved)
        except Exception as error:  # on a broken file torch.load raises almost any type
            logger.warning("%s is broken (%r): starting afresh", self.path, error)
            return Progress()
        logger.info("going on after epoch %d of the interrupted run", progress.epoch)
        return progress

    def save(self, progress: Progress) -> None:
        """Write the state beside its final name, then rename: never half a file."""
        import torch

        started = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        shallow = {name: getattr(progress, name) for name in progress.__dataclass_fields__}
        try:
            torch.save({"key": self.key} | shallow, partial)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
        now = time.monotonic()
        self._due = now + PAUSE * (now - started)

    def remove(self) -> None:
        """Remove the file, and what killed attempts left of theirs."""
        for path in [self.path, *self.path.parent.glob(f"{self.path.stem}.*.partial")]:
            path.unlink(missing_ok=True)
