"""Names of the backbones that timm and torchvision have, told without importing them."""

import difflib
import importlib.util
import re
from pathlib import Path

from headstart import HeadstartError
from headstart.experiment import config

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
