"""Configuration: one line for every mistake, defaults for everything else, one text per meaning."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headstart import HeadstartError
from headstart.experiment import config, loading
from headstart.experiment.schema import SCHEMA, ConfigError
from headstart.training.checkpoints import digest

ROOT = Path(__file__).parents[2]
FOLDER = {"source": "folder", "path": "images"}
HEAD = {"train": "head", "epochs": 3, "lr": 0.01}
ALL = {"train": "all", "epochs": 2, "lr": 0.001}
MINIMAL = {
    "experiment": "tiny",
    "dataset": FOLDER,
    "strategies": {
        "head_only": {"init": "pretrained", "phases": [HEAD]},
        "full": {"init": "pretrained", "phases": [ALL]},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """MINIMAL with one value set; the path's steps are split by dots, numbers are positions."""
    raw = copy.deepcopy(MINIMAL)
    target: Any = raw
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    target[last] = value
    return raw


def error_of(raw: Any) -> str:
    before = copy.deepcopy(raw)
    with pytest.raises(ConfigError) as caught:
        loading.from_dict(raw, "tiny.yaml")
    assert raw == before, "the caller's dictionary was changed"
    text = str(caught.value)
    assert text.startswith("tiny.yaml: ")
    assert "\n" not in text
    return text


PHASE0 = "strategies.full.phases.0"
MISTAKES = [
    ("dataset.split", {"test": 1.2}, ["dataset.split.test", "1.2", "less than 1"]),
    ("dataset.split", {"val": 0}, ["dataset.split.val", "0", "greater than 0"]),
    ("dataset.split", {"seed": 2**32}, ["dataset.split.seed", "4294967296", "4294967295"]),
    ("dataset", {"source": "web"}, ["dataset.source", "'web'", "package or folder"]),
    ("dataset", {"source": "folder"}, ["dataset.path is missing"]),
    ("dataset", FOLDER | {"table": {}}, ["dataset.table", "not a known key", "path"]),
    ("dataset", None, ["dataset", "None", "object"]),
    ("experiment", "My Cells", ["experiment", "'My Cells'", "match"]),
    ("nonsense", 1, ["nonsense", "not a known key", "strategies"]),
    ("it's", 1, ["it's is not a known key"]),
    ("image", {"sise": 64}, ["image.sise", "not a known key", "size"]),
    ("image", {"size": 8}, ["image.size", "8", "at least 16"]),
    ("image", {"size": 64.0}, ["image.size", "64.0", "integer"]),
    ("image", {"crop_pct": 1.01}, ["image.crop_pct", "1.01", "at most 1"]),
    ("image", {"mean": [0.5]}, ["image.mean", "[0.5]", "at least 3"]),
    ("image", {"std": [0.5, 0, 0.5]}, ["image.std[1]", "0", "greater than 0"]),
    ("image", {"interpolation": "cubic"}, ["interpolation", "'cubic'", "bilinear or bicubic"]),
    ("backbone", {"library": "keras"}, ["backbone.library", "'keras'", "timm or torchvision"]),
    ("backbone", {"weights": None}, ["backbone.weights", "None", "string"]),
    ("features", {"views": 0}, ["features.views", "0", "at least 1"]),
    ("training", {"batch_size": True}, ["training.batch_size", "True", "integer"]),
    ("training", {"precision": "fp16"}, ["training.precision", "'fp16'", "auto or fp32 or bf16"]),
    ("training", {"label_smoothing": 1}, ["training.label_smoothing", "1", "less than 1"]),
    ("training", {"gradient_clip": 0}, ["training.gradient_clip", "0", "greater than 0"]),
    ("seeds", [0, 0], ["seeds", "[0, 0]", "not repeat"]),
    ("seeds", [1.0], ["seeds[0]", "1.0", "integer"]),
    ("seeds", [], ["seeds", "[]", "at least 1"]),
    ("seeds", [-1], ["seeds[0]", "-1", "at least 0"]),
    ("fractions", [0.1, 0.10], ["fractions", "[0.1, 0.1]", "not repeat"]),
    ("fractions", [1, 1.0], ["fractions", "not repeat"]),
    ("fractions", [0], ["fractions[0]", "greater than 0"]),
    ("strategies", {}, ["strategies", "{}", "at least 1"]),
    ("strategies.Full", {"init": "pretrained", "phases": [ALL]}, ["strategies", "'Full'"]),
    ("strategies.7th", {"init": "pretrained", "phases": [ALL]}, ["strategies", "'7th'", "match"]),
    ("strategies.full", None, ["strategies.full", "None", "object"]),
    ("strategies.full", {"init": "pretrained"}, ["strategies.full.phases is missing"]),
    ("strategies.full.phases", [], ["strategies.full.phases", "[]", "at least 1"]),
    ("strategies.full.init", "imagenet", ["full.init", "'imagenet'", "pretrained or random"]),
    (f"{PHASE0}.epochs", 0, ["strategies.full.phases[0].epochs", "0", "at least 1"]),
    (f"{PHASE0}.epochs", 2.0, ["strategies.full.phases[0].epochs", "2.0", "integer"]),
    (f"{PHASE0}.start_size", 40, ["phases[0].start_size", "40", "a multiple of 16"]),
    (f"{PHASE0}.lr", "1e-3", ["strategies.full.phases[0].lr", "'1e-3'", "number"]),
    (f"{PHASE0}.lr", 0, ["strategies.full.phases[0].lr", "0", "greater than 0"]),
    (f"{PHASE0}.lr", float("nan"), ["phases[0].lr", "nan", "number"]),
    (f"{PHASE0}.lr", float("inf"), ["phases[0].lr", "inf", "number"]),
    (f"{PHASE0}.learning_rate", 1, ["phases[0].learning_rate", "not a known key", "lr"]),
    (f"{PHASE0}.schedule", "linear", ["phases[0].schedule", "'linear'", "one_cycle"]),
    (f"{PHASE0}.min_lr", 0.1, ["phases[0].min_lr", "0.1", "at most", "0.001"]),
    (f"{PHASE0}.stages", 2, ["phases[0].stages", "2", "'all'", "last_k_stages"]),
    (f"{PHASE0}.train", "last_k_stages", ["phases[0].stages", "None", "last_k_stages"]),
    ("strategies.full.training", {"lr": 1}, ["full.training.lr", "not a known key"]),
    ("augmentation", None, ["augmentation", "None", "array"]),
    ("augmentation", ["rotation"], ["augmentation[0]", "'rotation'", "object"]),
    ("augmentation", [{"name": "blur"}], ["augmentation[0].name", "'blur'", "rotation"]),
    ("augmentation", [{"p": 1}], ["augmentation[0].name is missing"]),
    ("augmentation", [{"name": "rotation"}], ["augmentation[0].degrees is missing"]),
    (
        "augmentation",
        [{"name": "vertical_flip"}, {"name": "rotation", "degrees": 9, "p": 0.5}],
        ["augmentation[1].p", "not a known key", "degrees, name"],
    ),
    ("augmentation", [{"name": "trivial_augment", "p": 1}], ["augmentation[0].p", "not a known"]),
    ("augmentation", [{"name": "vertical_flip", "p": 2}], ["augmentation[0].p", "2", "at most 1"]),
    (
        "augmentation",
        [{"name": "random_resized_crop", "ratio": [1.5, 0.5]}],
        ["augmentation[0].ratio", "[1.5, 0.5]", "lower bound comes first"],
    ),
    (
        "strategies.full.augmentation",
        [{"name": "random_resized_crop", "scale": [1.0, 0.5]}],
        ["strategies.full.augmentation[0].scale", "[1.0, 0.5]", "lower bound comes first"],
    ),
    (
        "strategies.head_only.augmentation",
        [{"name": "vertical_flip"}],
        ["strategies.head_only.augmentation", "features", "leave it out"],
    ),
    ("backbone", {"weights": "none"}, ["strategies.head_only.init", "'pretrained'", "'none'"]),
    ("strategies.head_only.init", "random", ["strategies.head_only.phases", "only the head"]),
]


@pytest.mark.parametrize(("path", "value", "parts"), MISTAKES)
def test_a_mistake_is_one_line_with_key_value_and_rule(path, value, parts):
    text = error_of(changed(path, value))
    assert [part for part in parts if part not in text] == [], text


def test_a_broken_value_is_not_counted_as_an_unknown_key_too():
    assert "more)" not in error_of(changed("augmentation", [{"name": "vertical_flip", "p": 2}]))
    assert "more)" not in error_of(changed("augmentation", [{"name": "rotation"}]))


def test_several_mistakes_are_counted():
    raw = changed("seeds", [])
    raw["fractions"] = []
    assert error_of(raw).endswith("(and 1 more)")


@pytest.mark.parametrize("key", [1, True, None])
def test_a_key_that_is_no_text_is_unknown(key):
    assert f"{key} is not a known key" in error_of(MINIMAL | {key: 1})
    raw = changed("strategies", {key: MINIMAL["strategies"]["full"]})
    assert f"strategies is '{key}', but must match" in error_of(raw)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["cannot be read", "No such file"]),
        (b"", ["holds no settings"]),
        (b"- a\n- b\n", ["holds no settings"]),
        (b"a: [1\nb: 2\n", ["not valid YAML"]),
        (b"\tkey: 1\n", ["not valid YAML"]),
        (b"experiment: \xff\xfe\n", ["not UTF-8"]),
        (b"experiment: tiny\n", ["is missing"]),
    ],
)
def test_an_unusable_file_is_one_line(tmp_path, content, parts):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HeadstartError) as caught:
        loading.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    assert [part for part in parts if part not in text] == [], text


def test_yaml_without_a_dot_is_text(tmp_path):
    """YAML 1.1 reads 1e-3 as text, which would train with a learning rate of '1e-3'."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINIMAL).replace("lr: 0.001", "lr: 1e-3"))
    with pytest.raises(ConfigError, match=r"phases\[0\].lr is '1e-3', but must be of type number"):
        loading.load(path)


def test_defaults_fill_every_gap():
    made = loading.from_dict(MINIMAL)
    assert made.seeds == (0, 1) and made.fractions == (1.0,) and made.augmentation == ()
    assert made.backbone == config.Backbone("tf_efficientnet_lite0", "timm", "bundled", "standard")
    assert made.image == config.Image(None, None, None, None, None, None)
    assert made.split == config.Split("auto", "auto", 0)
    assert config.plain(made.training) == {
        "batch_size": 32,
        "class_weights": "none",
        "gpus": 1,
        "gradient_clip": None,
        "label_smoothing": 0.0,
        "loss": "cross_entropy",
        "loss_reduction": "mean",
        "precision": "auto",
        "sampling": "uniform",
        "select_by": "accuracy",
    }
    assert made.report.title == "" and made.features.views == 1
    phase = made.strategies["full"].phases[0]
    assert (phase.train, phase.stages, phase.epochs, phase.lr) == ("all", None, 2, 0.001)
    assert (phase.optimizer, phase.weight_decay, phase.momentum) == ("adamw", 0.01, 0.9)
    assert (phase.schedule, phase.warmup, phase.min_lr) == ("constant", 0.3, 0.0)
    assert (phase.step_size, phase.gamma, phase.head_lr_multiplier) == (1, 0.1, 1.0)
    assert isinstance(phase.head_lr_multiplier, float)
    flip = loading.from_dict(changed("augmentation", [{"name": "vertical_flip"}])).augmentation
    assert flip == (config.Transform("vertical_flip", (("p", 0.5),)),)


def test_a_default_is_not_shared_between_configs():
    """A filled-in default that two configs share would let one change the other."""
    first, second = loading.from_dict(MINIMAL), loading.from_dict(MINIMAL)
    assert first == second
    assert MINIMAL["dataset"] == FOLDER


def test_a_strategy_overrides_single_training_settings():
    raw = changed("training", {"batch_size": 64, "loss": "bce_with_logits"})
    raw["strategies"]["full"]["training"] = {"batch_size": 16, "gradient_clip": 1}
    made = loading.from_dict(raw)
    own, other = made.strategies["full"].training, made.strategies["head_only"].training
    assert (own.batch_size, own.loss, own.gradient_clip) == (16, "bce_with_logits", 1.0)
    assert (other.batch_size, other.loss, other.gradient_clip) == (64, "bce_with_logits", None)


def test_a_strategy_replaces_the_augmentation():
    raw = changed("augmentation", [{"name": "vertical_flip"}])
    raw["strategies"]["full"]["augmentation"] = []
    made = loading.from_dict(raw)
    assert made.strategies["full"].augmentation == ()
    assert made.strategies["head_only"].augmentation == made.augmentation != ()


def test_from_features_means_frozen_throughout():
    made = loading.from_dict(changed("strategies.full.phases", [HEAD, ALL]))
    assert made.strategies["head_only"].from_features
    assert not made.strategies["full"].from_features
    assert made.strategies["full"].epochs == 5


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(list(value))}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_plain_does_not_depend_on_key_order():
    raw = changed("augmentation", [{"name": "random_resized_crop", "scale": [0.5, 1]}])
    one, other = loading.from_dict(raw), loading.from_dict(reversed_keys(raw))
    # as text: equal dictionaries in another order would rerun every Snakemake job
    for strategy in raw["strategies"]:
        texts = {json.dumps(config.plain(made.strategies[strategy])) for made in (one, other)}
        assert len(texts) == 1
    assert json.dumps(config.plain(one)) == json.dumps(config.plain(other))


def test_equal_numbers_make_equal_texts():
    text = yaml.safe_dump(MINIMAL | {"fractions": [0.1]})
    one, other = yaml.safe_load(text), yaml.safe_load(text.replace("0.1\n", "0.10\n"))
    assert config.plain(loading.from_dict(one)) == config.plain(loading.from_dict(other))
    whole = [loading.from_dict(changed(f"{PHASE0}.head_lr_multiplier", x)) for x in (10, 10.0)]
    assert digest(config.plain(whole[0])) == digest(config.plain(whole[1]))


POLICY = [
    {"name": "random_resized_crop", "scale": [0.5, 1.0]},
    {"name": "color_jitter", "hue": 0.1},
    {"name": "rotation", "degrees": 10},
    {"name": "trivial_augment"},
]


def test_parse_undoes_plain():
    raw = changed("augmentation", POLICY)
    raw["image"] = {"mean": [0, 0.5, 1], "size": 64}
    raw["dataset"] = dict(FOLDER, split={"test": "test", "val": 0.1})
    made = loading.from_dict(raw)
    through_json = json.loads(json.dumps(config.plain(made)))
    assert config.parse(config.Experiment, through_json) == made
    for strategy in made.strategies.values():
        assert config.parse(config.Strategy, config.plain(strategy)) == strategy


def test_settings_are_frozen():
    made = loading.from_dict(changed("augmentation", POLICY))
    hash(made.augmentation), hash(made.strategies["full"])
    with pytest.raises(AttributeError):
        made.experiment = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "path", [ROOT / "config/config.yaml", *sorted((ROOT / "config/experiments").glob("*.yaml"))]
)
def test_shipped_experiments_load(path):
    made = loading.load(path)
    assert config.parse(config.Experiment, config.plain(made)) == made


def properties(schema: Any, path: str) -> Iterator[tuple[str, dict, bool]]:
    """Every property of a schema, as (dotted path, its schema, whether it is required)."""
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if not isinstance(schema, dict):
        return
    required = schema.get("required", [])
    for key, value in schema.items():
        if key == "properties":
            for name, inner in value.items():
                yield f"{path}.{name}", inner, name in required
                yield from properties(inner, f"{path}.{name}")
        elif key != "if":
            yield from properties(value, f"{path}.{key}")


def test_every_key_has_a_description_and_a_default():
    schema = yaml.safe_load(SCHEMA.read_text())
    # a strategy's own training and augmentation default to the experiment's, which only
    # loading.from_dict knows; an archive without a table is another kind of archive
    inherited = {
        ".$defs.strategy.training",
        ".$defs.strategy.augmentation",
        ".$defs.archive.table",
    }
    found = list(properties(schema, ""))
    assert len(found) > 60
    for path, inner, required in found:
        reference = inner.get("$ref", "").rsplit("/", 1)[-1]
        referred = schema["$defs"].get(reference, {})
        assert inner.get("description") or referred.get("description"), path
        assert required or "default" in inner or path in inherited, path


def test_defaults_obey_their_own_schema():
    """A default outside its bounds would fail every config that leaves it out."""
    for name in ["horizontal_flip", "random_resized_crop", "random_crop", "color_jitter"]:
        loading.from_dict(changed("augmentation", [{"name": name}]))
    loading.from_dict(changed("augmentation", [{"name": "rand_augment"}]))


def test_the_default_experiment_asks_the_question():
    made = loading.load(ROOT / "config/config.yaml")
    assert list(made.strategies)[:3] == ["head_only", "full", "scratch"]
    assert len(made.seeds) >= 2 and made.backbone.weights == "bundled"


def test_overrides_go_over_the_file_key_by_key(tmp_path):
    file = tmp_path / "archive.yaml"
    table = {"file": "labels.csv", "image": "{id}.jpg", "label": "breed"}
    dataset = {"source": "archive", "address": "a.zip", "table": table, "split": {"seed": 3}}
    file.write_text(yaml.safe_dump(MINIMAL | {"dataset": dataset}))
    over = "dataset={source: folder, path: x, address: null, table: null, split: {test: 0.3}}"
    made = loading.load(file, [over, "seeds=[4]"])
    assert made.dataset == config.Dataset("folder", path="x")
    assert made.split == config.Split(0.3, "auto", 3) and made.seeds == (4,)
    with pytest.raises(ConfigError, match="--config seeds: give it as key=value"):
        loading.load(file, ["seeds"])


def test_images_start_no_larger_than_they_end():
    raw = changed("image", {"size": 64})
    raw["strategies"]["full"]["phases"][0]["start_size"] = 80
    assert "phases[0].start_size is 80, but must be at most image.size, 64" in error_of(raw)


def test_every_gpu_needs_an_image_of_each_batch():
    raw = changed("training", {"batch_size": 3, "gpus": 4})
    assert "training.gpus is 4, but must be at most batch_size, 3" in error_of(raw)
    assert loading.from_dict(changed("training", {"gpus": 4})).training.gpus == 4
