"""Settings: frozen, and one text per meaning."""

import json
from typing import Any

import pytest
import yaml

from headstart.experiment import config, loading
from headstart.provenance import digest

FOLDER = {"source": "folder", "path": "images"}
HEAD = {"train": "head", "epochs": 3, "lr": 0.01}
ALL = {"train": "all", "epochs": 2, "lr": 0.001}
PHASE0 = "strategies.full.phases.0"
POLICY = [
    {"name": "random_resized_crop", "scale": [0.5, 1.0]},
    {"name": "color_jitter", "hue": 0.1},
    {"name": "rotation", "degrees": 10},
    {"name": "trivial_augment"},
]


def test_from_features_means_frozen_throughout(changed):
    made = loading.from_dict(changed("strategies.full.phases", [HEAD, ALL]))
    assert made.strategies["head_only"].from_features
    assert not made.strategies["full"].from_features
    assert made.strategies["full"].epochs == 5


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(list(value))}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_plain_does_not_depend_on_key_order(changed):
    raw = changed("augmentation", [{"name": "random_resized_crop", "scale": [0.5, 1]}])
    one, other = loading.from_dict(raw), loading.from_dict(reversed_keys(raw))
    # as text: equal dictionaries in another order would rerun every Snakemake job
    for strategy in raw["strategies"]:
        texts = {json.dumps(config.plain(made.strategies[strategy])) for made in (one, other)}
        assert len(texts) == 1
    assert json.dumps(config.plain(one)) == json.dumps(config.plain(other))


def test_equal_numbers_make_equal_texts(minimal, changed):
    text = yaml.safe_dump(minimal | {"fractions": [0.1]})
    one, other = yaml.safe_load(text), yaml.safe_load(text.replace("0.1\n", "0.10\n"))
    assert config.plain(loading.from_dict(one)) == config.plain(loading.from_dict(other))
    whole = [loading.from_dict(changed(f"{PHASE0}.head_lr_multiplier", x)) for x in (10, 10.0)]
    assert digest(config.plain(whole[0])) == digest(config.plain(whole[1]))


def test_parse_undoes_plain(changed):
    raw = changed("augmentation", POLICY)
    raw["image"] = {"mean": [0, 0.5, 1], "size": 64}
    raw["dataset"] = dict(FOLDER, split={"test": "test", "val": 0.1})
    made = loading.from_dict(raw)
    through_json = json.loads(json.dumps(config.plain(made)))
    assert config.parse(config.Experiment, through_json) == made
    for strategy in made.strategies.values():
        assert config.parse(config.Strategy, config.plain(strategy)) == strategy


def test_settings_are_frozen(changed):
    made = loading.from_dict(changed("augmentation", POLICY))
    hash(made.augmentation), hash(made.strategies["full"])
    with pytest.raises(AttributeError):
        made.experiment = "other"  # type: ignore[misc]
