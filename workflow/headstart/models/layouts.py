"""The form in which a network computes fastest on a device: layout, precision, folded norms."""

import copy
from typing import TYPE_CHECKING, Any

from headstart.compute import devices

if TYPE_CHECKING:
    import torch
    from torch import nn


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


def place(
    model: "nn.Module", device: devices.Device, head: "nn.Module | None" = None
) -> "nn.Module":
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


def _in_fp32(forward, device: devices.Device):  # type: ignore[no-untyped-def]
    import torch

    def wrapped(x: "torch.Tensor") -> "torch.Tensor":
        with torch.autocast(device.type, enabled=False):
            return forward(x.float())

    return wrapped


def autocast(device: devices.Device) -> "torch.autocast":
    """The mixed-precision context of this device's precision."""
    import torch

    # The cache is for weights that a pass uses more than once, and forbids CUDA graphs.
    bf16 = device.precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False)
