"""The device that a job computes on: opening it, sending arrays to it, its memory."""

import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import HeadstartError

if TYPE_CHECKING:
    import numpy as np
    import torch

logger = logging.getLogger(__name__)


#: Read by glibc when a process starts. On the CPU, handing freed activations back to the kernel
#: and faulting them in again costs a tenth of a training step.
GLIBC_TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296"
)


@dataclass(frozen=True)
class Device:
    """Where a run computes: torch device string, hardware name and UUID, precision, threads."""

    type: str
    name: str
    uuid: str
    precision: str
    threads: int

    def __str__(self) -> str:
        if self.type == "cuda":
            return f"{self.name}, {self.precision}, channels_last"
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"CPU ({self.name}), {threads}, {self.precision}, channels_last"


#: Where few images are looked at, exactly and on one thread.
CPU = Device("cpu", "", "", "fp32", 1)


def open_device(precision: str, threads: int) -> Device:
    """Set up torch on this process's GPU, or on the CPU, and say what it will compute with.

    Args:
        precision: auto, fp32 or bf16; auto is bf16 where the hardware multiplies bf16.
        threads: CPU threads of this process.

    Raises:
        HeadstartError: GPUs are assigned to this process, and torch cannot use them.
    """
    import torch

    from headstart.compute import parallel

    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        name, uuid, kind = properties.name, f"GPU-{properties.uuid}", "cuda"
    else:
        _require_unassigned()
        fast = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
        name, uuid, kind = _cpu_name(), "", "cpu"
    if parallel.world() > 1:
        name = f"{parallel.world()} × {name}"
    chosen = ("bf16" if fast else "fp32") if precision == "auto" else precision
    device = Device(kind, name, uuid, chosen, threads)
    logger.info("%s", device)
    return device


def _require_unassigned() -> None:
    """Where devices are only pretended, as in tests, HEADSTART_PRETENDED_GPUS says so."""
    import torch

    assigned = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    if assigned in ("", "-1") or "HEADSTART_PRETENDED_GPUS" in os.environ:
        return
    raise HeadstartError(
        f"GPU {assigned} of {socket.gethostname()} is assigned to this job, but torch "
        f"{torch.__version__} cannot use it: see whether nvidia-smi works there and its driver is "
        f"new enough for CUDA {torch.version.cuda}, or ask for none with --resources gpu=0"
    )


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def send(array: "np.ndarray", device: str) -> "torch.Tensor":
    """An array on the device; on a GPU it may still be on its way when this returns."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor


def seconds_spent(device: Device) -> float:
    """A clock of work: CPU seconds of this process, or seconds of every GPU that it shares.

    Unlike wall time, CPU seconds stay the same where other jobs share the cores.
    """
    from headstart.compute import parallel

    return time.perf_counter() * parallel.world() if device.type == "cuda" else time.process_time()


def free_memory_bytes(device: Device) -> int:
    """Memory of the GPU that nobody holds; 0 on the CPU, whose memory the file map uses."""
    if device.type != "cuda":
        return 0
    import torch

    return int(torch.cuda.mem_get_info()[0])


def peak_memory_bytes(device: Device) -> int:
    """Most memory this process held: allocated on the GPU, or resident on the CPU."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
