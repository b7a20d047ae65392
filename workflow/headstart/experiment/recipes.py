"""Built-in strategies: names enter; settings that need no number of the user's leave."""

import functools
from pathlib import Path
from typing import Any

import yaml

from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError

RECIPES = Path(__file__).with_name("recipes.yaml")
#: What is compared where an experiment names no strategies.
DEFAULT = ("head_only", "full", "scratch")


@functools.cache
def built_in() -> dict[str, Any]:
    """The raw settings of every built-in strategy, by name."""
    recipes: dict[str, Any] = yaml.safe_load(RECIPES.read_text(encoding="utf-8"))
    return recipes


def expanded(raw: dict[str, Any], origin: Origin) -> dict[str, Any]:
    """A raw configuration in which every strategy has settings; `raw` stays as it is.

    `strategies` may be left out, be a list of names, or map a name to nothing: each such name
    stands for a recipe.

    Raises:
        ConfigError: a name without settings is no recipe's.
    """
    strategies = raw.get("strategies", DEFAULT)
    if isinstance(strategies, list | tuple):
        named = {f"strategies[{i}]": name for i, name in enumerate(strategies)}
        if len(set(map(str, strategies))) < len(strategies):
            raise ConfigError(origin.located("strategies names a recipe twice; name each once"))
        settings = {str(name): _recipe(key, name, origin) for key, name in named.items()}
    elif isinstance(strategies, dict):
        settings = {
            name: _recipe(f"strategies.{name}", name, origin) if value is None else value
            for name, value in strategies.items()
        }
    else:
        return raw
    return raw | {"strategies": settings}


def _recipe(key: str, name: Any, origin: Origin) -> dict[str, Any]:
    if not isinstance(name, str) or name not in built_in():
        known = ", ".join(built_in())
        raise ConfigError(
            origin.located(
                f"{key} is {name!r}, which is no built-in recipe ({known}); name one of these or "
                "give the strategy its init and phases"
            )
        )
    recipe: dict[str, Any] = built_in()[name]
    return recipe
