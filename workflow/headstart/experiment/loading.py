"""From an experiment file to checked, frozen settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from headstart.experiment import checks, config, documents, recipes, schema
from headstart.experiment.lines import Origin, shown
from headstart.experiment.schema import ConfigError, with_defaults

_UNKNOWN = Origin()
_TEMPLATE = "__use_yte__"
_LARGEST = 1 << 20  # bytes of an experiment file


def load(path: str | Path, overrides: Sequence[str] = ()) -> config.Experiment:
    """Read one experiment file.

    Args:
        overrides: "key=value" texts that go over it, as those of Snakemake's --config.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks a rule of the schema.
    """
    raw, origin = read(path, overrides)
    return from_dict(raw, origin)


def read(path: str | Path, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], Origin]:
    """An experiment file's raw configuration under its overrides, and where it is from.

    Raises:
        ConfigError: the file is missing or is not YAML, or an override is not "key=value".
    """
    over = schema.parse_overrides(overrides)
    return schema.merged(written(path), over), Origin((path,), over)


def written(path: str | Path) -> dict[str, Any]:
    """The settings as they stand in an experiment file.

    Raises:
        ConfigError: the file is missing, too large or not YAML, or has a key twice.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"{shown(path)}: has more than 1 MiB; give an experiment file")
        raw = documents.parse(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{shown(path)}: cannot be read ({error.strerror}); give an experiment file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown(path)}: is not UTF-8 text ({error.reason})") from None
    except yaml.YAMLError as error:
        raise ConfigError(_no_yaml(shown(path), error)) from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{shown(path)}: holds no settings; see config/README.md")
    if _TEMPLATE in raw:
        raise ConfigError(
            f"{shown(path)}: has {_TEMPLATE}, with which Snakemake runs Python from the file; "
            "write the values out"
        )
    return raw


def _no_yaml(file: str, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        reasons = ", ".join(filter(None, [error.context, error.problem]))
        return f"{file}:{error.problem_mark.line + 1}: not valid YAML: {reasons}"
    return f"{file}: not valid YAML: {' '.join(str(error).split())}"


def from_dict(raw: dict[str, Any], origin: Origin = _UNKNOWN) -> config.Experiment:
    """Check a raw configuration, fill in defaults and freeze it. `raw` stays as it is.

    Args:
        origin: where it was read from, to name in an error.

    Raises:
        ConfigError: in one line, the first key that breaks a rule, its value and the rule.
    """
    raw = _with_test_sets(recipes.expanded(raw, origin))
    settings = with_defaults(raw, origin)
    settings["split"] = settings["dataset"].pop("split")
    shared = settings["training"]
    settings["training"] = _training(shared)
    for name, strategy in settings["strategies"].items():
        strategy["training"] = _training(shared, raw["strategies"][name].get("training", {}))
        strategy.setdefault("augmentation", settings["augmentation"])
        norm = strategy["training"]["norm"] or _own_norm(strategy["init"])
        for phase in strategy["phases"]:
            phase["norm"] = phase.get("norm") or norm
    experiment = config.parse(config.Experiment, settings)
    checks.check(experiment, origin)
    return experiment


def _with_test_sets(raw: dict[str, Any]) -> dict[str, Any]:
    """A raw configuration in which a further test set that is a text is the folder of that path."""
    tests = raw.get("tests")
    if not isinstance(tests, dict):
        return raw
    named = {
        name: {"source": "folder", "path": given} if isinstance(given, str) else given
        for name, given in tests.items()
    }
    return raw | {"tests": named}


def _training(*levels: dict[str, Any]) -> dict[str, Any]:
    """Training settings, those of later levels over those of earlier ones.

    `batch_size: auto` anywhere leaves the number be, and lets the batch go in parts.
    """
    merged = {"batch_size": schema.default("training", "batch_size"), "in_parts": False}
    for level in levels:
        if level.get("batch_size") == "auto":
            level = level | {"batch_size": merged["batch_size"], "in_parts": True}
        merged |= level
    return merged


def _own_norm(init: str) -> str:
    """Statistics that came with weights are kept; a random body has none to keep."""
    return "frozen" if init == "pretrained" else "batch"
