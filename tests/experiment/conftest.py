"""A minimal experiment, and what changes it or says what is wrong with it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from headstart.experiment import loading
from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError


@pytest.fixture
def minimal() -> dict[str, Any]:
    """A raw configuration of nothing but required keys."""
    return {
        "experiment": "tiny",
        "dataset": {"source": "folder", "path": "images"},
        "strategies": {
            "head_only": {
                "init": "pretrained",
                "phases": [{"train": "head", "epochs": 3, "lr": 0.01}],
            },
            "full": {
                "init": "pretrained",
                "phases": [{"train": "all", "epochs": 2, "lr": 0.001}],
            },
        },
    }


@pytest.fixture
def changed(minimal: dict[str, Any]) -> Callable[[str, Any], dict[str, Any]]:
    """The minimal configuration with one value set.

    The path's steps are split by dots, numbers are positions.
    """

    def change(path: str, value: Any) -> dict[str, Any]:
        raw = copy.deepcopy(minimal)
        target: Any = raw
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps:
            target = target[step] if isinstance(step, int) else target.setdefault(step, {})
        target[last] = value
        return raw

    return change


@pytest.fixture
def error_of() -> Callable[[Any], str]:
    """The one line that refuses a raw configuration."""

    def refuse(raw: Any) -> str:
        before = copy.deepcopy(raw)
        with pytest.raises(ConfigError) as caught:
            loading.from_dict(raw, Origin(("tiny.yaml",)))
        assert raw == before, "the caller's dictionary was changed"
        text = str(caught.value)
        assert text.startswith("tiny.yaml: ")
        assert "\n" not in text
        return text

    return refuse
