"""The k-nearest-neighbour probe: how well the frozen features tell the classes without training."""

import time
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from headstart.experiment.config import Strategy
from headstart.models import neighbours
from headstart.training.checkpoints import Progress
from headstart.training.journal import Journal
from headstart.views.batches import Examples

#: Numbers of neighbours that are tried, where there are as many other training images.
GRID = (1, 3, 5, 10, 20, 50)
_CHUNK = 1024


def fit(strategy: Strategy, features: np.ndarray, examples: Examples, journal: Journal) -> Progress:
    """Try each number of neighbours and keep the best on validation.

    A row of the history is one number, in the learning rate column. A training image is scored
    by the others, since it is its own nearest neighbour.

    Args:
        features: float32 (n, d), of the plain view.

    Returns:
        The progress with the state of a `models.neighbours.Neighbours` under "head.".
    """
    progress = journal.open()
    started = time.perf_counter()
    parts = {k: neighbours.unit(torch.from_numpy(features[v])) for k, v in examples.rows.items()}
    labels = {part: torch.tensor(values) for part, values in examples.labels.items()}
    bank, given = parts["train"], labels["train"]
    grid = [k for k in GRID if k < len(bank)]
    found = {
        part: _nearest(queries, bank, grid[-1], own=part == "train")
        for part, queries in parts.items()
    }
    n_classes = 1 + max(int(values.max()) for values in labels.values())
    for number, k in enumerate(grid[progress.epoch :], start=progress.epoch + 1):
        row: dict[str, float] = {"epoch": number, "phase": 0, "lr": k}
        for part, (similarities, nearest) in found.items():
            logits = neighbours.vote(similarities[:, :k], given[nearest[:, :k]], n_classes)
            row |= _scores(part, logits, labels[part])
        seconds, started = time.perf_counter() - started, time.perf_counter()
        row |= {"images_per_second": len(bank) / seconds, "seconds": seconds}
        progress.add(row, strategy.training.score, partial(_head, bank, given, k))
        if progress.best_epoch == number:
            progress.val_losses = F.nll_loss(logits, labels["val"], reduction="none").tolist()
    journal.save(progress)
    return progress


def _nearest(
    queries: torch.Tensor, bank: torch.Tensor, k: int, own: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarities to, and places in the bank of, each query's k nearest: (m, k), nearest first.

    Args:
        own: whether the queries are the bank, and none is to be a neighbour of itself.
    """
    found = []
    for start in range(0, len(queries), _CHUNK):
        similarities = queries[start : start + _CHUNK] @ bank.T
        if own:
            similarities.diagonal(start).fill_(-torch.inf)
        found.append(similarities.topk(k))
    values, places = zip(*found, strict=True)
    return torch.cat(values), torch.cat(places)


def _head(bank: torch.Tensor, labels: torch.Tensor, k: int) -> dict[str, torch.Tensor]:
    return {"head.bank": bank, "head.labels": labels, "head.k": torch.tensor(k)}


def _scores(part: str, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    return {
        f"{part}_loss": F.nll_loss(logits, labels).item(),
        f"{part}_accuracy": (logits.argmax(1) == labels).double().mean().item(),
    }
