"""The JSON schema of an experiment: defaults filled in, and one clear line for an error."""

import functools
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from headstart import HeadstartError
from headstart.experiment import documents
from headstart.experiment.lines import Origin

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


class ConfigError(HeadstartError):
    """The configuration is wrong; the text names the key, its value and what is allowed."""


def with_defaults(raw: dict[str, Any], origin: Origin) -> dict[str, Any]:
    """A checked copy of a raw configuration in which every key has a value.

    Args:
        origin: where it was read from, to name in an error.

    Raises:
        ConfigError: in one line, the first key that breaks a rule, its value and the rule.
    """
    settings: dict[str, Any] = _copy(raw)
    if isinstance(dataset := settings.get("dataset"), dict):
        # null takes back a key that another source has, in an override of a file
        settings["dataset"] = {key: value for key, value in dataset.items() if value is not None}
    errors = [
        e for e in _validator().iter_errors(settings) if e.validator not in _CLOSED or _unknown(e)
    ]
    errors.sort(key=lambda e: len(e.path), reverse=True)
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ConfigError(origin.located(f"{_describe(errors[0])}{more}"))
    return settings


def default(part: str, key: str) -> Any:
    """The value of a key of a part, such as training, where nothing is given."""
    schema: Any = _validator().schema
    return _copy(schema["$defs"][part]["properties"][key]["default"])


def typed(value: Any) -> Any:
    """Numbers inside the braces and brackets of Snakemake's --config, which arrive as text."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        read = documents.parse(value)
    except yaml.YAMLError:
        return value
    return value if isinstance(read, dict | list) else read


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """The settings that "key=value" texts give together.

    Raises:
        ConfigError: a text is not of that form, or its value not YAML.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--config {text}: give it as key=value")
        try:
            settings = merged(settings, {key: documents.parse(value)})
        except yaml.YAMLError:
            raise ConfigError(f"--config {text}: the value is not valid YAML") from None
    return settings


def merged(settings: Any, over: Any) -> Any:
    """Settings with others laid over them: dictionaries key by key, anything else as a whole."""
    if not (isinstance(settings, dict) and isinstance(over, dict)):
        return over
    return settings | {key: merged(settings.get(key), value) for key, value in over.items()}


def _copy(value: Any) -> Any:
    """A deep copy whose keys are text, as JSON has it and YAML's `1: train` has not."""
    if isinstance(value, dict):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list | tuple) else value


@functools.cache
def _validator() -> Draft202012Validator:
    """A validator that fills in defaults, after the recipe in jsonschema's FAQ.

    Stricter than JSON Schema, 6.0 is no integer here, and nan and infinity are no numbers. As in
    JSON Schema, and not in Python, a pattern's $ is no place before a last newline.
    """

    def fill(
        validator: Any, properties: dict[str, Any], instance: Any, schema: dict[str, Any]
    ) -> Iterator[ValidationError]:
        if isinstance(instance, dict):
            for name, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(name, _copy(subschema["default"]))
        yield from Draft202012Validator.VALIDATORS["properties"](
            validator, properties, instance, schema
        )

    def match(
        validator: Any, pattern: str, instance: Any, schema: dict[str, Any]
    ) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
            yield ValidationError("does not match")

    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: (
                type(value) in (int, float) and abs(value) <= sys.float_info.max
            ),
        }
    )
    keywords = {"properties": fill, "pattern": match}
    return validators.extend(Draft202012Validator, keywords, type_checker=types)(schema)


def _describe(error: ValidationError) -> str:
    """One line for one schema error: the key, its value, what is allowed."""
    key = _dotted(error.absolute_path)
    rule: Any = error.validator
    limit: Any = error.validator_value
    if rule in _CLOSED:
        known = ", ".join(sorted(_known_keys(error)))
        unknown = _dotted([*error.absolute_path, str(_unknown(error)[0])])
        return f"{unknown} is not a known key; allowed: {known}"
    if rule == "required":
        missing = error.message.split("'")[1]
        return f"{_dotted([*error.absolute_path, missing])} is missing"
    if rule == "not":
        limit = limit["enum"]
    if isinstance(limit, list):
        limit = " or ".join(str(item) for item in limit)
    allowed = _ALLOWED.get(str(rule), error.message).format(limit=limit)
    return f"{key or 'the file'} is {_shortened(error.instance)}, but {allowed}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


_LONGEST = 200
_CLOSED = ("additionalProperties", "unevaluatedProperties")
_ALLOWED = {
    "type": "must be of type {limit}",
    "enum": "must be {limit}",
    "const": "must be a number or {limit}",
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be greater than {limit}",
    "exclusiveMaximum": "must be less than {limit}",
    "multipleOf": "must be a multiple of {limit}",
    "minItems": "must have at least {limit} entries",
    "maxItems": "must have at most {limit} entries",
    "minProperties": "must have at least {limit} entry",
    "minLength": "must not be empty",
    "maxLength": "must have at most {limit} characters",
    "not": "must not be {limit}, which mean something else there",
    "uniqueItems": "must not repeat an entry",
    "pattern": "must match {limit}",
}


def _dotted(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _unknown(error: ValidationError) -> list[Any]:
    """Keys that nothing allows; one whose value breaks a rule is known all the same."""
    instance: Any = error.instance
    known = _known_keys(error)
    return [key for key in instance if key not in known]


def _known_keys(error: ValidationError) -> set[str]:
    """The keys that the schema allows where `error` found an unknown one."""
    schema: Any = error.schema
    known = set(schema["properties"])
    for branch in schema.get("allOf", []):
        if Draft202012Validator(branch["if"]).is_valid(error.instance):
            then = branch["then"]
            if "$ref" in then:
                root: Any = _validator().schema
                then = root["$defs"][then["$ref"].rsplit("/", 1)[1]]
            known |= set(then["properties"])
    return known
