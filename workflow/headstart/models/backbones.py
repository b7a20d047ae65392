"""Backbones by name, from timm and torchvision, resolved once and built for each run."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import layers, preprocessing, registry, sizes, weights

if TYPE_CHECKING:
    from torch import nn

_FEWEST_STAGES = 4  # every backbone has as many, which saves the import of torch


def create(
    name: str, library: str, num_classes: int, stem: str = "standard", **options: int
) -> "nn.Module":
    """A randomly initialised model of the library's own architecture, for (n, 3, h, w) input.

    Args:
        options: further arguments of the library's own function, see `sizes.option`.
    """
    if library == "timm":
        import timm

        model = timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
    else:
        import torchvision

        model = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **options)
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


@dataclass(frozen=True)
class Prepared:
    """A backbone as `prepare` left it.

    Attributes:
        description: name, library, stem, num_features and, under "image", the preprocessing.
        weights: safetensors file of the whole pretrained state dict, for images of the size that
            it was made with; empty where there is none.
    """

    description: dict[str, Any]
    weights: Path

    @staticmethod
    def read(config_path: Path, weights: Path) -> "Prepared":
        return Prepared(json.loads(config_path.read_text()), weights)

    @property
    def image(self) -> dict[str, Any]:
        """Preprocessing: size, resize, cache_size, interpolation, crop_pct, mean and std."""
        image: dict[str, Any] = self.description["image"]
        return image


def prepare(
    backbone: config.Backbone, image: config.Image, config_path: Path, weights_path: Path
) -> None:
    """Resolve the backbone once for all runs: its preprocessing and its weights.

    Writes a JSON description and a safetensors file with the whole pretrained state dict
    (empty when backbone.weights is none).

    Raises:
        HeadstartError: the weights cannot be had or do not fit, the model does not end in one
            linear layer, or it refuses image.size.
    """
    from safetensors.torch import save_file

    registry.require_known(backbone)
    model = create(backbone.name, backbone.library, 2, backbone.stem)
    _require_head(model, backbone)
    state = weights.load(backbone)
    weights.apply(model, state)
    state = weights.named(model, state)
    own = preprocessing.data_config(model, backbone.library, backbone.name, image)
    sizes.change(model, backbone.name, own["size"])
    require_size(model, backbone.name, own["size"], "image.size")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights_path)
    description = config.plain(backbone) | {
        "image": own,
        "num_features": model.get_submodule(layers.head_name(model)).in_features,
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights_sha256": weights.sha256(weights_path),
    }
    config_path.write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")


def _require_head(model: "nn.Module", backbone: config.Backbone) -> None:
    if _ends_in_a_head(model):
        return
    import torch

    found: list[str] = []
    for name in registry.near(backbone, 12):
        with contextlib.suppress(NotImplementedError), torch.device("meta"):
            if len(found) < 3 and _ends_in_a_head(create(name, backbone.library, 2)):
                found.append(name)
    raise HeadstartError(
        f"backbone.name is {backbone.name!r}, which does not end in a single linear layer; "
        f"choose one that does, such as {', '.join(found) or 'resnet50'}"
    )


def _ends_in_a_head(model: "nn.Module") -> bool:
    try:
        layers.head_name(model)
    except HeadstartError:
        return False
    return True


def require_size(model: "nn.Module", name: str, size: int, key: str) -> None:
    """Raise HeadstartError when the model cannot take images of the size that `key` says."""
    import torch

    try:
        with torch.inference_mode():
            device = next(model.parameters()).device
            model.eval()(torch.zeros(1, 3, size, size, device=device))
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise HeadstartError(
            f"{key} is {size}, which {name} does not take ({reason}); leave it out or "
            "choose another backbone"
        ) from None


def require_stages(experiment: config.Experiment) -> None:
    """Raise HeadstartError when a phase trains more last stages than the backbone has."""
    wanted = {
        f"strategies.{name}.phases[{index}].stages": phase.stages or 0
        for name, strategy in experiment.strategies.items()
        for index, phase in enumerate(strategy.phases)
        if (phase.stages or 0) > _FEWEST_STAGES
    }
    if not wanted:
        return
    import torch

    backbone = experiment.backbone
    with torch.device("meta"):
        model = create(backbone.name, backbone.library, 2, backbone.stem)
    found = len(layers.stages(model))
    for key, stages in wanted.items():
        if stages > found:
            raise HeadstartError(
                f"{key} is {stages}, but {backbone.name} has {found} stages; take fewer"
            )


def build(
    backbone: Prepared, num_classes: int, seed: int = 0, init: str = "pretrained"
) -> "nn.Module":
    """The model that a run starts from: random or pretrained body, new Xavier head.

    Args:
        seed: decides the random initialisation.
        init: pretrained; random, as the library draws; or xavier, Xavier-uniform.
    """
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(seed)
    if init == "pretrained":
        model = _native(backbone.description, num_classes)
        weights.apply(model, load_file(backbone.weights))
        sizes.change(model, backbone.description["name"], backbone.image["size"])
    else:
        model = untrained(backbone.description, num_classes)
    if init == "xavier":
        model.apply(_draw_xavier)
    torch.manual_seed(seed)
    head = layers.new_head(backbone.description["num_features"], num_classes)
    model.set_submodule(layers.head_name(model), head)
    return model


def untrained(description: dict[str, Any], num_classes: int) -> "nn.Module":
    """A randomly initialised model of the backbone that backbone/config.json describes."""
    model = _native(description, num_classes)
    other = sizes.option(model, description["image"]["size"])
    return _native(description, num_classes, **other) if other else model


def _native(description: dict[str, Any], num_classes: int, **options: int) -> "nn.Module":
    """The model for images of the size that its library has it for, or as `options` say."""
    stem = description.get("stem", "standard")
    return create(description["name"], description["library"], num_classes, stem, **options)


def _draw_xavier(module: "nn.Module") -> None:
    from torch import nn

    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
