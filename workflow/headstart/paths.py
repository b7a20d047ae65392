"""How the files of a rule become a dataclass of paths."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def named(kind: type[T], *collections: Mapping[str, Any]) -> T:
    """An instance of a dataclass whose fields are paths, or tuples of paths, by their names.

    Args:
        collections: what has the names, such as a rule's input and its output; each gives a
            text or a list of texts by `get`. A field that none of them has takes its default.

    Raises:
        TypeError: none of them has a field that has no default.
    """
    found: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = next(filter(None, (each.get(field.name) for each in collections)), None)
        if value is not None:
            found[field.name] = Path(value) if isinstance(value, str) else tuple(map(Path, value))
        elif field.default is MISSING:
            raise TypeError(f"{kind.__name__} needs {field.name!r}, which no rule's files have")
    return kind(**found)
