"""verdict.json and the schema that others may rely on, workflow/schemas/verdict.schema.yaml."""

import json
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parents[2] / "schemas" / "verdict.schema.yaml"


def write(verdict: dict, path: Path) -> None:
    """Write a verdict that keeps to its schema.

    Raises:
        jsonschema.ValidationError: it does not.
    """
    check(verdict)
    path.write_text(json.dumps(verdict, indent=2, allow_nan=False) + "\n")


def check(verdict: dict) -> None:
    """Hold a verdict against its schema.

    Raises:
        jsonschema.ValidationError: it does not keep to it.
    """
    Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))).validate(verdict)
