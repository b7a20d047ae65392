"""What a job asks of a machine or a cluster: threads, memory and time.

The figures are bounds, not estimates: they follow the size of the work, and leave room. A job that
meets one is tried again with twice as much, and a training then goes on where it was saved.
"""

import os
import subprocess
from dataclasses import dataclass

from headstart.experiment.strategies import Strategy

THREADS_PER_GPU = 8
PASS_BATCH = 128  # at most, where a network only looks

_DAY = 1440  # minutes; more than that, many partitions never give
_START_MB = 4000  # Python, torch, CUDA and MLflow; measured without a GPU: 1,100 MB
# Bytes for a batch's pixel, by passes; measured with gradients: 1,500 (EfficientNet-Lite0).
_BYTES_PER_PIXEL = {1: 300, 3: 1600}
_COPIES = 8  # of the weights: gradients, two moments, the best and the saved epoch, the models

_START_MINUTES = 30
_FLOPS_PER_PIXEL = 1600  # forward, for each MB of weights: 0.04 GFLOP-pairs at 224 pixels
_LISTED_PER_MINUTE = 2.4e5  # bytes of a table of images: 40 images a second, 100 bytes each
_GPU_FLOPS = 1.5e12  # that training reaches on an old card
_THREAD_FLOPS = 1e10


@dataclass(frozen=True)
class Work:
    """What a network is put through: pixels in all and in a batch, and its weights in MB.

    `passes` is 1 for a network that only looks and 3 for one that learns; a backward pass costs
    two forward ones.
    """

    pixels: float
    batch: float
    weights: float
    passes: int


def training(strategy: Strategy, size: int, pixels: float, weights: float) -> Work:
    """The work of training a strategy.

    Args:
        size: side of the square that the network sees.
        pixels: of all training images.
        weights: of the backbone, in MB.
    """
    batch = strategy.training.batch_size * size**2
    seen = sum(max(p.epochs * pixels, (p.steps or 0) * batch) for p in strategy.phases)
    return Work(seen, batch, weights, 3)


def memory_mb(work: Work, attempt: int) -> int:
    """Memory for a process on each of the GPUs, or for one on the CPU."""
    need = _START_MB + _COPIES * work.weights + _BYTES_PER_PIXEL[work.passes] * work.batch / 1e6
    return round(need) * 2 ** (attempt - 1)


def minutes(work: Work, gpus: int, threads: int, attempt: int) -> int:
    """Time for the work, a day at most: what was saved by then is not done again."""
    flops = work.passes * _FLOPS_PER_PIXEL * work.weights * work.pixels
    seconds = flops / (gpus * _GPU_FLOPS or threads * _THREAD_FLOPS)
    return _bounded(seconds / 60, attempt)


def decoding_minutes(table: int, attempt: int) -> int:
    """Time to open every image of a table of so many bytes."""
    return _bounded(table / _LISTED_PER_MINUTE, attempt)


def _bounded(work: float, attempt: int) -> int:
    return min(_DAY, (_START_MINUTES + round(work)) * 2 ** (attempt - 1))


def threads(cores: int | None, gpus: int | None) -> int:
    """Threads of a training for each of its GPUs, by the machine alone.

    They do not depend on how many trainings there are, so that a further seed leaves the results
    of the others on a CPU be. Two trainings on half the cores each finish sooner than one after
    the other on all.

    Args:
        cores: that this machine may use, or that a job can get; None where that is not known.
        gpus: in use at once; None or 0 for none.
    """
    if cores is None:
        return THREADS_PER_GPU
    return max(1, min(THREADS_PER_GPU, cores // (gpus or 2)))


@dataclass(frozen=True)
class Nodes:
    """What the nodes of a cluster have: CPUs of the largest, and whether any has a GPU."""

    cpus: int | None = None
    gpus: bool = True


def slurm_nodes() -> Nodes:
    """The nodes that Slurm lists; where it does not answer, ones that nothing is known of."""
    command = ["sinfo", "--Node", "--noheader", "--format=%c %G"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return Nodes()
    rows = [line.split() for line in answer.stdout.splitlines() if line]
    if not rows:
        return Nodes()
    return Nodes(max(int(cpus) for cpus, _ in rows), any("gpu" in gres for _, gres in rows))


def shared_threads(cores: int | None, gpus: int | None) -> int:
    """The threads that the process which plans the jobs decided on; its jobs inherit them."""
    return int(os.environ.setdefault("HEADSTART_THREADS", str(threads(cores, gpus))))
