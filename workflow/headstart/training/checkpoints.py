"""The resume state that a training leaves as it goes, and the best model so far."""

import hashlib
import io
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
_SEAL = hashlib.sha256().digest_size


@dataclass
class Progress:
    """Everything a training needs to go on after the last epoch that was saved.

    `at_once` is how many images of a batch memory held, None where it held whole ones.

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
    at_once: int | None = None
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
    """A progress file that belongs to one exact training and vanishes when it is done.

    It ends with the SHA-256 of what stands before, and the state saved before it stays beside it,
    to go back to where it is damaged.
    """

    def __init__(self, path: Path, key: str) -> None:
        """`key` is the digest of everything that decides the result of the training."""
        self.path, self.previous = path, path.with_suffix(".previous")
        self.key = key
        self._due = 0.0

    def due(self) -> bool:
        """Whether saving now leaves it a small share of the time; the first time it always does."""
        return time.monotonic() >= self._due

    def load(self) -> Progress:
        """The progress of an interrupted run of the same key, or a fresh start."""
        for path in filter(Path.exists, (self.path, self.previous)):
            try:
                key, progress = _unsealed(path.read_bytes())
            except Exception as error:  # on a broken file torch.load raises almost any type
                logger.warning("%s is broken (%r): not going on from it", path, error)
                continue
            if key == self.key:
                logger.info("going on after epoch %d of the interrupted run", progress.epoch)
                return progress
            logger.info("%s was made with other settings or images", path)
        return Progress()

    def save(self, progress: Progress) -> None:
        """Write the state beside its final name, then rename: never half a file."""
        started = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_bytes(_sealed(self.key, progress))
            if self.path.exists():
                self.path.replace(self.previous)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
        now = time.monotonic()
        self._due = now + PAUSE * (now - started)

    def remove(self) -> None:
        """Remove the files, and what killed attempts left of theirs."""
        partials = self.path.parent.glob(f"{self.path.stem}.*.partial")
        for path in [self.path, self.previous, *partials]:
            path.unlink(missing_ok=True)


def _sealed(key: str, progress: Progress) -> bytes:
    import torch

    buffer = io.BytesIO()
    shallow = {name: getattr(progress, name) for name in progress.__dataclass_fields__}
    torch.save({"key": key} | shallow, buffer)
    content = buffer.getvalue()
    return content + hashlib.sha256(content).digest()


def _unsealed(content: bytes) -> tuple[str, Progress]:
    import torch

    content, seal = content[:-_SEAL], content[-_SEAL:]
    if hashlib.sha256(content).digest() != seal:
        raise ValueError("its SHA-256 is another")
    saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return saved.pop("key"), Progress(**saved)
