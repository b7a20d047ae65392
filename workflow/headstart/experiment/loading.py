"""From an experiment file to checked, frozen settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from headstart.experiment import checks, config, schema
from headstart.experiment.schema import ConfigError, with_defaults


def load(path: str | Path, overrides: Sequence[str] = ()) -> config.Experiment:
    """Read one experiment file.

    Args:
        overrides: "key=value" texts that go over it, as those of Snakemake's --config.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks a rule of the schema.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give an experiment file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text ({error.reason})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds no settings; see config/README.md")
    return from_dict(schema.overridden(raw, overrides), str(path))


def from_dict(raw: dict[str, Any], where: str = "config") -> config.Experiment:
    """Check a raw configuration, fill in defaults and freeze it. `raw` stays as it is.

    Raises:
        ConfigError: in one line, the first key that breaks a rule, its value and the rule.
    """
    settings = with_defaults(raw, where)
    settings["split"] = settings["dataset"].pop("split")
    shared = settings["training"]
    for name, strategy in settings["strategies"].items():
        strategy["training"] = shared | raw["strategies"][name].get("training", {})
        strategy.setdefault("augmentation", settings["augmentation"])
    experiment = config.parse(config.Experiment, settings)
    checks.check(experiment, where)
    return experiment
