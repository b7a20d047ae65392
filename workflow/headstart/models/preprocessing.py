"""The preprocessing that belongs to a backbone's weights."""

import math
from typing import TYPE_CHECKING, Any

from headstart.experiment import config

if TYPE_CHECKING:
    from torch import nn


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
