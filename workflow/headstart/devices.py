"""Which device a job computes on, and how it computes there.

A job leases its GPUs through one lock file per device before torch is imported. The kernel
frees a lock whose holder dies, so a killed job never blocks a device.
"""

import contextlib
import copy
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from headstart import HeadstartError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5

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


def visible() -> list[tuple[str, str]]:
    """The GPUs this process may use, as (value for CUDA_VISIBLE_DEVICES, lock name) pairs.

    CUDA_VISIBLE_DEVICES bounds the pool where it is set. Locks are named by UUID, so that two
    schedulers' different numbering of one machine's devices never makes two names for one; a
    beginning of a UUID, which CUDA takes too, stands for the whole.
    """
    uuids = _uuids()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [(str(index), uuid) for index, uuid in enumerate(uuids)]
    tokens = [token.strip() for token in allowed.split(",") if token.strip()]
    known = {str(index): uuid for index, uuid in enumerate(uuids)}
    for token in tokens:
        known.setdefault(token, next((uuid for uuid in uuids if uuid.startswith(token)), token))
    return [(token, known[token]) for token in tokens if token != "-1"]


def _uuids() -> list[str]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [
            str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))
            for index in range(pynvml.nvmlDeviceGetCount())
        ]
    finally:
        pynvml.nvmlShutdown()


@contextlib.contextmanager
def lease(count: int, locks: Path | None = None) -> Iterator[list[str]]:
    """Hold `count` GPUs for this process and make only them visible to it.

    Must be entered before torch is imported. With count 0, or on a machine without a GPU, the
    job runs on the CPU. Under Slurm, as many devices as asked for are taken as assigned.

    Args:
        locks: folder of the lock files; by default one per user in the temporary folder.

    Yields:
        The leased devices as CUDA_VISIBLE_DEVICES names them; empty for the CPU.

    Raises:
        HeadstartError: more devices are asked for than are visible.
    """
    pool = visible() if count else []
    if not pool:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        logger.info("no GPU %s: computing on the CPU", "is visible" if count else "was asked for")
        yield []
        return
    if len(pool) < count:
        raise HeadstartError(
            f"the job asks for {count} GPUs, but {len(pool)} are visible; "
            f"lower training.gpus or give --resources gpu={len(pool)}"
        )
    if "SLURM_JOB_ID" in os.environ and len(pool) == count:
        yield [name for name, _ in pool]
        return
    folder = locks or Path(tempfile.gettempdir()) / f"headstart-devices-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        names = _acquire(pool, count, folder, held)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
        logger.info("leased GPU %s", ", ".join(names))
        yield names


def _acquire(
    pool: list[tuple[str, str]], count: int, folder: Path, held: contextlib.ExitStack
) -> list[str]:
    """Take `count` free devices together or none of them, waiting until that works."""
    waiting = False
    while True:
        with contextlib.ExitStack() as attempt:
            names = []
            for name, uuid in pool:
                lock = FileLock(folder / f"{uuid}.lock", timeout=0)
                with contextlib.suppress(Timeout):
                    attempt.enter_context(lock)
                    names.append(name)
                if len(names) == count:
                    held.push(attempt.pop_all())
                    return names
        if not waiting:
            logger.info("all %d GPUs are taken: waiting for a free one", len(pool))
            waiting = True
        time.sleep(_POLL_SECONDS)


def open_device(precision: str, threads: int) -> Device:
    """Set up torch on this process's GPU, or on the CPU, and say what it will compute with.

    Args:
        precision: auto, fp32 or bf16; auto is bf16 where the hardware multiplies bf16.
        threads: CPU threads of this process.
    """
    import torch

    from headstart import parallel

    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        name, uuid, kind = properties.name, f"GPU-{properties.uuid}", "cuda"
    else:
        fast = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
        name, uuid, kind = _cpu_name(), "", "cpu"
    if parallel.world() > 1:
        name = f"{parallel.world()} × {name}"
    chosen = ("bf16" if fast else "fp32") if precision == "auto" else precision
    device = Device(kind, name, uuid, chosen, threads)
    logger.info("%s", device)
    return device


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def fold_norms(model: "nn.Module", size: int) -> "nn.Module":
    """A copy for inference in which BatchNorm is part of the convolution before it.

    Which convolution feeds which BatchNorm is seen on a forward pass; if the copy's output for
    noise then differs, the model itself is returned.

    Args:
        model: in eval mode, on the CPU.
        size: side of the images it will see, pixels.
    """
    import torch
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = copy.deepcopy(model)
    made: list[tuple[str, torch.Tensor]] = []
    pairs: list[tuple[str, str]] = []

    def watch(name: str, module: nn.Module) -> Any:
        if isinstance(module, nn.Conv2d):
            return module.register_forward_hook(lambda _, __, y: made.append((name, y)))
        return module.register_forward_pre_hook(
            lambda _, x: pairs.extend((conv, name) for conv, y in made if y is x[0])
        )

    kinds = nn.Conv2d | nn.BatchNorm2d
    layers: dict[str, Any] = {k: m for k, m in folded.named_modules() if isinstance(m, kinds)}
    hooks = [watch(*layer) for layer in layers.items()]
    noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        folded(noise)
    for hook in hooks:
        hook.remove()
    for conv, norm in pairs:
        fused: nn.Module = fuse_conv_bn_eval(layers[conv], layers[norm])
        folded.set_submodule(conv, fused)
        # timm's BatchNorm brings dropout and activation with it
        rest = [getattr(layers[norm], part, None) for part in ("drop", "act")]
        folded.set_submodule(norm, nn.Sequential(*filter(None, rest)))
    with torch.inference_mode():
        same = torch.allclose(folded(noise), model(noise), rtol=1e-3, atol=1e-4)
    return folded if same else model


def place(model: "nn.Module", device: Device, head: "nn.Module | None" = None) -> "nn.Module":
    """Move a model to the device in the layout and precision that are fastest there.

    On a CPU, bf16 speeds up dense convolutions but slows depthwise ones several-fold, so these
    stay in fp32. So does the head everywhere: it takes no time, and bf16 would round its logits
    to two digits. In train mode on a CPU, an activation that works in place costs a copy more.

    Args:
        head: the final layer, a submodule of the model.
    """
    import torch
    from torch import nn

    model = model.to(device.type).to(memory_format=torch.channels_last)
    if device.type == "cpu" and model.training:
        for module in model.modules():
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010
    if device.precision == "bf16":
        for module in model.modules():
            depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
            if module is head or (depthwise and device.type == "cpu"):
                module.forward = _in_fp32(module.forward, device)
    return model


def _in_fp32(forward, device: Device):  # type: ignore[no-untyped-def]
    import torch

    def wrapped(x: "torch.Tensor") -> "torch.Tensor":
        with torch.autocast(device.type, enabled=False):
            return forward(x.float())

    return wrapped


def autocast(device: Device) -> "torch.autocast":
    """The mixed-precision context of this device's precision."""
    import torch

    # The cache is for weights that a pass uses more than once, and forbids CUDA graphs.
    bf16 = device.precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False)


def send(array: "np.ndarray", device: str) -> "torch.Tensor":
    """An array on the device; on a GPU it may still be on its way when this returns."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor


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
