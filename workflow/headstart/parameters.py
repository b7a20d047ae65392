"""Settings as MLflow keeps parameters: flat, and text."""

from collections.abc import Iterable
from typing import Any


def flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text: {"a": {"b": [1]}} -> {"a.b.0": "1"}."""
    if isinstance(settings, dict):
        items: Iterable[tuple[Any, Any]] = settings.items()
    elif isinstance(settings, list | tuple):
        items = enumerate(settings)
    else:
        return {prefix: str(settings)}
    flat: dict[str, str] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
