"""Names of the backbones that timm and torchvision have, told without importing them."""

import difflib
import importlib.util
import re
from pathlib import Path

from headstart import HeadstartError
from headstart.experiment import config

# Registered with a decorator just above a function of the model's name.
_REGISTERED = re.compile(r"^@register_model(?:\(\))?\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)

# Those of torchvision that return auxiliary outputs in training; timm's Inception has none.
_AUXILIARY = {"googlenet", "inception_v3"}


def known_names(library: str) -> list[str]:
    """Names of the classification models in `library`, read from its sources.

    Importing timm takes five seconds and torch with it; a config check should not.
    """
    names = {name for text in _sources(library) for name in _REGISTERED.findall(text)}
    return sorted(names - (_AUXILIARY if library == "torchvision" else set()))


def _sources(library: str) -> list[str]:
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        raise HeadstartError(f"backbone.library is {library!r}, which is not installed")
    models = Path(spec.origin).parent / "models"
    return [source.read_text(encoding="utf-8") for source in models.glob("*.py")]


def published_weights(name: str) -> list[str]:
    """Names of the weights that torchvision publishes for a model of its own."""
    taking = re.compile(rf"^def {re.escape(name)}\([^)]*?weights: Optional\[(\w+)\]", re.MULTILINE)
    found = [(text, taken[1]) for text in _sources("torchvision") if (taken := taking.search(text))]
    return [
        weights
        for text, kind in found
        for body in re.findall(
            rf"^class {kind}\(WeightsEnum\):\n((?:    .*\n|\n)+)", text, re.MULTILINE
        )
        for weights in re.findall(r"^    (\w+) = ", body, re.MULTILINE)
    ]


def require_known(backbone: config.Backbone) -> None:
    """Raise HeadstartError, with the nearest names, when no such model can be trained."""
    if backbone.library == "torchvision" and backbone.name in _AUXILIARY:
        raise HeadstartError(
            f"backbone.name is {backbone.name!r}, which in torchvision returns auxiliary outputs "
            "in training, and these headstart does not train; the nearest without them is "
            "inception_v3 of backbone.library timm"
        )
    if _base(backbone) not in known_names(backbone.library):
        close = ", ".join(near(backbone, 3))
        hint = f"; did you mean {close}?" if close else ""
        raise HeadstartError(
            f"backbone.name is {backbone.name!r}, which {backbone.library} does not have{hint}"
        )


def near(backbone: config.Backbone, count: int) -> list[str]:
    """The library's names that are most like the backbone's, up to `count`."""
    return difflib.get_close_matches(
        _base(backbone), known_names(backbone.library), n=count, cutoff=0.5
    )


def _base(backbone: config.Backbone) -> str:
    """The name without that of its weights, which timm puts behind a dot."""
    return backbone.name.split(".")[0] if backbone.library == "timm" else backbone.name
