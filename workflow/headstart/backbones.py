"""Backbones by name, from timm and torchvision: body, head, stages and preprocessing."""

import difflib
import importlib.util
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError, config

if TYPE_CHECKING:
    from torch import nn

# Registered with a decorator just above a function of the model's name; torchvision's two
# inception-style models return auxiliary outputs in training and are left out.
_REGISTERED = re.compile(r"^@register_model(?:\(\))?\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_AUXILIARY = {"googlenet", "inception_v3"}


def known_names(library: str) -> list[str]:
    """Names of the classification models in `library`, read from its sources.

    Importing timm takes five seconds and torch with it; a config check should not.
    """
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        raise HeadstartError(f"backbone.library is {library!r}, which is not installed")
    models = Path(spec.origin).parent / "models"
    names = {
        name
        for source in models.glob("*.py")
        for name in _REGISTERED.findall(source.read_text(encoding="utf-8"))
    }
    return sorted(names - (_AUXILIARY if library == "torchvision" else set()))


def require_known(backbone: config.Backbone) -> None:
    """Raise HeadstartError, with the nearest names, when the library has no such model."""
    names = known_names(backbone.library)
    # timm names one of a model's weights after a dot
    name = backbone.name.split(".")[0] if backbone.library == "timm" else backbone.name
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise HeadstartError(
            f"backbone.name is {backbone.name!r}, which {backbone.library} does not have{hint}"
        )


def create(name: str, library: str, num_classes: int, stem: str = "standard") -> "nn.Module":
    """A randomly initialised model of the library's own architecture, for (n, 3, h, w) input."""
    if library == "timm":
        import timm

        model = timm.create_model(name, pretrained=False, num_classes=num_classes)
    else:
        import torchvision

        model = torchvision.models.get_model(name, weights=None, num_classes=num_classes)
    if stem == "small":
        _use_small_stem(model, name)
    return model


def _use_small_stem(model: "nn.Module", name: str) -> None:
    """Give a ResNet the stem for small images: 3×3 with stride 1, and no pooling after it."""
    from torch import nn

    first = getattr(model, "conv1", None)
    if not isinstance(first, nn.Conv2d) or not hasattr(model, "maxpool"):
        raise HeadstartError(
            f"backbone.stem is 'small', which only a ResNet can have, and backbone.name is {name!r}"
        )
    model.conv1 = nn.Conv2d(3, first.out_channels, 3, stride=1, padding=1, bias=False)
    model.maxpool = nn.Identity()


def head_name(model: "nn.Module") -> str:
    """Dotted name of the final linear layer.

    Raises:
        HeadstartError: the model does not end in one linear layer.
    """
    from torch import nn

    declared = getattr(model, "pretrained_cfg", {}).get("classifier")
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    name = declared if declared is not None else (linears or [None])[-1]
    if name not in linears:
        raise HeadstartError(
            f"backbone.name is {type(model).__name__}, which does not end in a single linear "
            "layer; choose another backbone"
        )
    return name


def detach_head(model: "nn.Module") -> "nn.Module":
    """Take the head off in place, so that the model returns pooled features (n, d)."""
    from torch import nn

    name = head_name(model)
    head = model.get_submodule(name)
    model.set_submodule(name, nn.Identity())
    return head


def new_head(num_features: int, num_classes: int) -> "nn.Linear":
    """A linear classifier with Xavier-uniform weights (Glorot & Bengio 2010) and zero bias."""
    from torch import nn

    head = nn.Linear(num_features, num_classes)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def stages(model: "nn.Module") -> list[list[str]]:
    """Parameter names of the body in groups from input to output; the head is left out.

    timm models bring their own grouping; otherwise each child module with parameters is a
    stage, and a child that holds most of the model is opened.
    """
    head = head_name(model) + "."
    declared: list[list[str]] | None = getattr(model, "declared_stages", None)
    if declared is not None:  # a part of a model, see `prefix`
        return [[name for name in names if not name.startswith(head)] for names in declared]
    if hasattr(model, "group_matcher"):
        from timm.models import group_parameters

        matcher: Any = model.group_matcher
        grouped = group_parameters(model, matcher(coarse=True))
        groups = [
            [name for name in names if not name.startswith(head)] for names in grouped.values()
        ]
        return [names for names in groups if names]
    return [names for names in _child_groups(model, "", head) if names]


def _child_groups(module: "nn.Module", prefix: str, head: str) -> list[list[str]]:
    total = sum(1 for _ in module.parameters())
    groups = [[prefix + name for name, _ in module.named_parameters(recurse=False)]]
    for child_name, child in module.named_children():
        path = f"{prefix}{child_name}."
        names = [path + name for name, _ in child.named_parameters()]
        names = [name for name in names if not name.startswith(head)]
        if len(names) > 0.8 * total and len(list(child.children())) > 1:
            groups += _child_groups(child, path, head)
        else:
            groups.append(names)
    return groups


def data_config(model: "nn.Module", library: str, name: str, image: config.Image) -> dict[str, Any]:
    """Preprocessing that belongs to the weights, with the experiment's own settings on top.

    Returns a dict of size, resize and cache_size (pixels), interpolation, crop_pct, and mean
    and std (three floats each, on the 0 to 1 scale).
    """
    own = _timm_config(model) if library == "timm" else _torchvision_config(name)
    given = {key: value for key, value in config.plain(image).items() if value is not None}
    merged = own | given
    resize = math.floor(merged["size"] / merged["crop_pct"])
    merged["resize"] = resize
    merged.setdefault("cache_size", resize)
    return merged


def _timm_config(model: "nn.Module") -> dict[str, Any]:
    from timm.data import resolve_model_data_config

    own = resolve_model_data_config(model)
    return {
        "size": own["input_size"][-1],
        "crop_pct": own["crop_pct"],
        "interpolation": own["interpolation"],
        "mean": list(own["mean"]),
        "std": list(own["std"]),
    }


def _torchvision_config(name: str) -> dict[str, Any]:
    import torchvision

    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    size, resize = preset.crop_size[0], preset.resize_size[0]
    return {
        "size": size,
        "crop_pct": size / resize,
        "interpolation": preset.interpolation.value,
        "mean": list(preset.mean),
        "std": list(preset.std),
    }


def prepare(
    backbone: config.Backbone, image: config.Image, config_path: Path, weights_path: Path
) -> None:
    """Resolve the backbone once for all runs: its preprocessing and its weights.

    Writes a JSON description and a safetensors file with the whole pretrained state dict
    (empty when backbone.weights is none).

    Raises:
        HeadstartError: the weights cannot be had or do not fit, or the model refuses image.size.
    """
    from safetensors.torch import save_file

    from headstart import weights

    require_known(backbone)
    state = weights.load(backbone)
    model = create(backbone.name, backbone.library, 2, backbone.stem)
    weights.apply(model, state)
    preprocessing = data_config(model, backbone.library, backbone.name, image)
    require_size(model, backbone.name, preprocessing["size"], "image.size")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights_path)
    description = config.plain(backbone) | {
        "image": preprocessing,
        "num_features": model.get_submodule(head_name(model)).in_features,
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": weights.sha256(weights_path),
    }
    config_path.write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")


def require_size(model: "nn.Module", name: str, size: int, key: str) -> None:
    """Raise HeadstartError when the model cannot take images of the size that `key` says."""
    import torch

    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise HeadstartError(
            f"{key} is {size}, which {name} does not take ({reason}); leave it out or "
            "choose another backbone"
        ) from None


def build(
    description: dict[str, Any],
    num_classes: int,
    weights_path: Path | None,
    seed: int,
    xavier: bool = False,
) -> "nn.Module":
    """The model that a run starts from: random or pretrained body, new Xavier head.

    Args:
        description: the content of backbone/config.json.
        weights_path: safetensors file of the pretrained state dict; None for a random body.
        seed: decides the random initialisation.
        xavier: whether a random body is drawn Xavier-uniform instead of as its library does.
    """
    import torch
    from safetensors.torch import load_file

    from headstart import weights

    torch.manual_seed(seed)
    model = untrained(description, num_classes)
    if xavier:
        model.apply(_draw_xavier)
    if weights_path is not None:
        weights.apply(model, load_file(weights_path))
    torch.manual_seed(seed)
    model.set_submodule(head_name(model), new_head(description["num_features"], num_classes))
    return model


def untrained(description: dict[str, Any], num_classes: int) -> "nn.Module":
    """A randomly initialised model of the backbone that backbone/config.json describes."""
    return create(
        description["name"],
        description["library"],
        num_classes,
        description.get("stem", "standard"),
    )


def _draw_xavier(module: "nn.Module") -> None:
    from torch import nn

    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)


def freeze_all_but(model: "nn.Module", trainable: Sequence[str]) -> None:
    """Let only the named parameters train; no gradient of an earlier phase stays behind."""
    names = set(trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
        parameter.grad = None


def train_mode(model: "nn.Module") -> None:
    """Train mode, but for wholly frozen modules: they stay in eval mode.

    A frozen BatchNorm in train mode would go on updating its running statistics.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
