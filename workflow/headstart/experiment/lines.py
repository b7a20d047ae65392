"""Where a configuration key stands, to begin the line that tells what is wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml


@dataclass(frozen=True)
class Origin:
    """Where a configuration was read from.

    Attributes:
        files: experiment files; a later one goes over those before it, key by key.
        overrides: settings of --config, which go over all files.
    """

    files: tuple[str | Path, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def located(self, message: str) -> str:
        """The message, led by the place of the dotted key that it begins with.

        The place is `FILE:LINE`, or `FILE with --config` for what the command line set. For a key
        that is nowhere it is the place of the innermost key around it, or `FILE` without a line.
        For a key in several files it is the place in the last one.
        """
        place = _innermost(self._places(), message)
        return f"{place.name if place else self._last()}: {message}"

    def _places(self) -> "_Inside":
        places: _Inside = {}
        for file in self.files:
            places = _merged(places, _in_file(file))
        return _merged(places, _in_value(self.overrides, f"{self._last()} with --config"))

    def _last(self) -> str:
        return shown(self.files[-1]) if self.files else "config"


def shown(file: str | Path) -> str:
    """A file's name in a message: relative if it is below the working directory."""
    path, here = Path(file).absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


class _Place(NamedTuple):
    """The name of the place where a value stands, and the places of the values in it."""

    name: str
    inside: "_Inside"


_Inside = dict[str, _Place] | list[_Place] | None


def _in_file(file: str | Path) -> _Inside:
    """Places in a YAML file; none where it cannot be read, which is for others to tell."""
    try:
        loader = yaml.SafeLoader(Path(file).read_text(encoding="utf-8"))
        return _in_node(loader.get_single_node(), loader, shown(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def _in_node(node: yaml.Node | None, loader: yaml.SafeLoader, file: str) -> _Inside:
    """Places in a YAML node; a key that comes through an alias or `<<` stands at the anchor."""

    def place(mark: yaml.Mark, value: yaml.Node) -> _Place:
        return _Place(f"{file}:{mark.line + 1}", _in_node(value, loader, file))

    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        return {
            str(loader.construct_object(key)): place(key.start_mark, value)
            for key, value in node.value
        }
    if isinstance(node, yaml.SequenceNode):
        return [place(item.start_mark, item) for item in node.value]
    return None


def _in_value(value: Any, name: str) -> _Inside:
    """Places in a plain value, which all have the same name."""
    if isinstance(value, Mapping):
        return {str(key): _Place(name, _in_value(item, name)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_Place(name, _in_value(item, name)) for item in value]
    return None


def _merged(under: _Inside, over: _Inside) -> _Inside:
    """Merge as settings are merged: mappings key by key, anything else as a whole."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    both = {
        key: _Place(over[key].name, _merged(under[key].inside, over[key].inside))
        for key in under.keys() & over.keys()
    }
    return under | over | both


def _innermost(inside: _Inside, message: str) -> _Place | None:
    """The place of the key that a message begins with, or of the innermost key around it."""
    found = None
    while step := _step(inside, message):
        found, message = step
        inside = found.inside
    return found


def _step(inside: _Inside, text: str) -> tuple[_Place, str] | None:
    """The place of the key or position that a text begins with, and the text after it.

    Only the keys at hand tell where a key ends, since one may itself hold dots and blanks.
    """
    if isinstance(inside, list):
        steps = {f"[{index}]": place for index, place in enumerate(inside)}
    else:
        steps = inside or {}
    fitting = [key for key in steps if re.match(rf"{re.escape(key)}(?![\w-])", text)]
    if not fitting:
        return None
    key = max(fitting, key=len)
    return steps[key], text[len(key) :].removeprefix(".")
