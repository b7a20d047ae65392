"""Too little memory: how it is told from other errors, and how work goes on in smaller parts."""

import ctypes
import gc
import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from headstart import HeadstartError
from headstart.compute.devices import Device

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# What errors say that have no type of their own: of torch's CPU allocator, C++, cuBLAS and cuDNN.
_SAID = ("allocate memory", "bad_alloc", "ALLOC_FAILED")
# All that oneDNN says when it finds no room for its code or its scratch.
_UNSAID = ("could not create a primitive", "could not execute a primitive")


# Numbers of glibc's settings, from malloc.h.
_M_MMAP_THRESHOLD, _M_MMAP_MAX = -3, -4

#: What helps where batches are no larger than they must be.
REMEDY = "lower image.size, or take a smaller backbone; or run fewer jobs at once"


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there is too little memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        text in _UNSAID or any(words in text for words in _SAID)
    )


@dataclass
class Parts:
    """In how many parts a batch goes to a device: in one, or in more once memory has run out.

    Attributes:
        most: examples at once; None as long as memory has sufficed.
        least: what `most` may not go below.
    """

    device: Device
    most: int | None = None
    least: int = 1

    def work(
        self, examples: int, attempt: Callable[[int], Result], undo: Callable[[], None]
    ) -> Result:
        """What `attempt` makes of a batch, given in how many parts of almost equal size.

        Where memory runs out, the attempt is repeated in parts half as large, which stay so.

        Args:
            undo: takes back what a broken attempt has left.

        Raises:
            HeadstartError: even the smallest parts do not fit.
        """
        while True:
            count = -(-examples // (self.most or examples))
            tried = -(-examples // count)
            try:
                return attempt(count)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
            if tried // 2 < self.least:
                raise HeadstartError(
                    f"out of memory with {tried} image{'s' * (tried > 1)} at once on "
                    f"{self._name}: {REMEDY}"
                )
            # Only here, where the error is gone, nothing holds what the attempt had allocated.
            undo()
            _release(self.device)
            self.most = tried // 2
            logger.warning(
                "%d images at once do not fit into the memory of %s: %d at most from now on",
                tried,
                self._name,
                self.most,
            )

    @property
    def _name(self) -> str:
        return self.device.name or "the CPU"


def inferring(
    model: Callable[[torch.Tensor], torch.Tensor], parts: Parts
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A model that looks at a batch in parts where memory does not suffice for the whole."""

    def infer(images: torch.Tensor) -> torch.Tensor:
        def attempt(count: int) -> torch.Tensor:
            if count == 1:
                return model(images)
            return torch.cat([model(part) for part in images.tensor_split(count)])

        return parts.work(len(images), attempt, lambda: None)

    return infer


def keep_little(device: Device) -> None:
    """Hand large blocks back to the kernel when they are freed, on a CPU where it may refuse some.

    Else they stay with this process (see devices.GLIBC_TUNABLES), divided as the larger parts
    needed them, and oneDNN finds no room for the smaller parts' code. It slows a step down.
    """
    if device.type == "cpu" and _is_bounded():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 1 << 16)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 20)


def _is_bounded() -> bool:
    """Whether this process may be refused memory; usually Linux lends more than there is."""
    bounds = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    strict = Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    return strict or any(bound != resource.RLIM_INFINITY for bound in bounds)


def _release(device: Device) -> None:
    """Hand back what is freed and was kept for reuse."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        ctypes.CDLL(None).malloc_trim(0)
