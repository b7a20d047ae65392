"""One training on several GPUs: a process for each, and for each its share of every batch.

torch's DistributedDataParallel (Li et al. 2020) keeps the processes' models equal. The loss is
that of the whole batch, from everyone's logits, so that any loss and any division of a batch
gives the gradient that one process would have. In a process that belongs to no group, every
function here leaves things as they are.
"""

import logging
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed, multiprocessing, nn
from torch.autograd import Function
from torch.nn.parallel import DistributedDataParallel

from headstart import HeadstartError, logs

logger = logging.getLogger(__name__)

Sliceable = TypeVar("Sliceable", bound=Any)


def launch(
    processes: int, log_file: str | Path, function: Callable[..., None], *arguments: Any
) -> None:
    """Run a function in several processes that form a group, each on its own visible GPU.

    Without GPUs they compute on the CPU. When a process dies, the others are killed. When this
    one dies, however abruptly, the kernel kills them all.

    Args:
        log_file: receives the messages of the first process.
        function: of a module, not nested, as are the classes of its arguments: they are pickled.

    Raises:
        HeadstartError: a process raised one, or was killed.
        ProcessRaisedException: a process raised another error; the text has its traceback.
    """
    logger.info("training in %d processes, one on each GPU", processes)
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, f"file://{folder}/group", log_file, function, arguments)
        workers = multiprocessing.spawn(_work, arguments, processes, join=False)
        try:
            while not workers.join():
                pass
        except multiprocessing.ProcessExitedException as error:
            raise HeadstartError(
                f"{error}, so the others were stopped; rerun to go on after the last whole epoch"
            ) from None
        except multiprocessing.ProcessRaisedException as error:
            _, raised, text = str(error).rpartition(f"{HeadstartError.__name__}: ")
            raise HeadstartError(text.strip()) if raised else error from None
        finally:
            for process in workers.processes:
                process.kill()


def _work(
    number: int,
    processes: int,
    meeting: str,
    log_file: str | Path,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    multiprocessing._prctl_pr_set_pdeathsig(signal.SIGKILL)  # type: ignore[attr-defined]
    if number == 0:
        logs.append(log_file)
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(number)
    distributed.init_process_group(
        "nccl" if cuda else "gloo", meeting, rank=number, world_size=processes
    )
    function(*arguments)
    distributed.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0. The first alone writes files and logs."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first_only(function: Callable[..., None]) -> Callable[..., None]:
    """The function in the first process, and in the others one that does nothing."""
    return function if rank() == 0 else lambda *_: None


def meet() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        distributed.barrier()


def _bounds(size: int, number: int) -> slice:
    """The share of a batch that a process takes; shares differ by one example at most."""
    least, rest = divmod(size, world())
    start = number * least + min(number, rest)
    return slice(start, start + least + (number < rest))


def shard(batch: Sliceable) -> Sliceable:
    """This process's share of a batch.

    Raises:
        HeadstartError: there are fewer examples than processes.
    """
    if len(batch) < world():
        raise HeadstartError(
            f"{world()} GPUs cannot share a batch of {len(batch)}: lower training.gpus"
        )
    return batch[_bounds(len(batch), rank())]


def gathered(share: torch.Tensor, size: int) -> torch.Tensor:
    """The whole batch (size, ...) from all processes' shares, in order.

    Gradients flow back into the own share, times the number of processes: DDP averages what has
    to be summed.
    """
    return share if world() == 1 else _Gather.apply(share, size)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, share: torch.Tensor, size: int) -> torch.Tensor:
        equal = share.new_zeros(-(-size // world()), *share.shape[1:])
        equal[: len(share)] = share
        parts = [torch.empty_like(equal) for _ in range(world())]
        distributed.all_gather(parts, equal)
        bounds = [_bounds(size, number) for number in range(world())]
        return torch.cat([part[: b.stop - b.start] for part, b in zip(parts, bounds, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return shard(gradient) * world(), None


def wrap(model: nn.Module) -> nn.Module:
    """The model to call in training steps; its parameters' gradients are those of all processes.

    On GPUs, BatchNorm takes its statistics from the whole batch from here on; on a CPU, where
    torch has no such layer, from the process's share.
    """
    if world() == 1:
        return model
    if next(model.parameters()).is_cuda:
        from timm.layers import convert_sync_batchnorm  # torch's own would drop timm's activations

        model = convert_sync_batchnorm(model)
    return DistributedDataParallel(model)
