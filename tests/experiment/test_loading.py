"""Loading: what is in a file, what goes over it, and what is filled in."""

from pathlib import Path

import pytest
import yaml

from headstart import HeadstartError
from headstart.experiment import config, loading
from headstart.experiment.schema import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["cannot be read", "No such file"]),
        (b"", ["holds no settings"]),
        (b"- a\n- b\n", ["holds no settings"]),
        (b"a: [1\nb: 2\n", ["mine.yaml:2: not valid YAML", "expected ',' or ']'"]),
        (b"\tkey: 1\n", ["mine.yaml:1: not valid YAML"]),
        (b"a: 1\nb: \0\n", ["not valid YAML"]),
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
    assert text.startswith(f"{path}:") and "\n" not in text
    assert [part for part in parts if part not in text] == [], text


def test_yaml_without_a_dot_is_text(minimal, tmp_path):
    """YAML 1.1 reads 1e-3 as text, which would train with a learning rate of '1e-3'."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(minimal).replace("lr: 0.001", "lr: 1e-3"))
    with pytest.raises(ConfigError, match=r"phases\[0\].lr is '1e-3', but must be of type number"):
        loading.load(path)


def test_defaults_fill_every_gap(minimal, changed):
    made = loading.from_dict(minimal)
    assert made.seeds == (0, 1, 2) and made.fractions == (1.0,) and made.tuning.trials == 0
    crop = config.Transform("random_resized_crop", (("ratio", (0.75, 1.3333)), ("scale", (0.5, 1))))
    assert made.augmentation == (crop, config.Transform("horizontal_flip", (("p", 0.5),)))
    assert made.backbone == config.Backbone("tf_efficientnet_lite0", "timm", "bundled", "standard")
    assert made.image == config.Image(None, None, None, None, None, None)
    assert made.split == config.Split("auto", "auto", 0)
    assert config.plain(made.training) == {
        "batch_size": 32,
        "class_weights": "none",
        "gpus": 1,
        "gradient_clip": None,
        "in_parts": False,
        "label_smoothing": 0.0,
        "loss": "cross_entropy",
        "loss_reduction": "mean",
        "norm": None,
        "precision": "auto",
        "sampling": "uniform",
        "select_by": "accuracy",
    }
    assert made.report.title == "" and made.features.views == 5
    phase = made.strategies["full"].phases[0]
    assert (phase.train, phase.stages, phase.epochs, phase.lr) == ("all", None, 2, 0.001)
    assert (phase.optimizer, phase.weight_decay, phase.momentum) == ("adamw", 0.01, 0.9)
    assert (phase.schedule, phase.warmup, phase.min_lr) == ("constant", 0.3, 0.0)
    assert (phase.step_size, phase.gamma, phase.head_lr_multiplier) == (1, 0.1, 1.0)
    assert isinstance(phase.head_lr_multiplier, float)
    flip = loading.from_dict(changed("augmentation", [{"name": "vertical_flip"}])).augmentation
    assert flip == (config.Transform("vertical_flip", (("p", 0.5),)),)


def test_a_default_is_not_shared_between_configs(minimal):
    """A filled-in default that two configs share would let one change the other."""
    first, second = loading.from_dict(minimal), loading.from_dict(minimal)
    assert first == second
    assert minimal["dataset"] == {"source": "folder", "path": "images"}


def test_a_strategy_overrides_single_training_settings(changed):
    raw = changed("training", {"batch_size": 64, "loss": "bce_with_logits"})
    raw["strategies"]["full"]["training"] = {"batch_size": 16, "gradient_clip": 1}
    made = loading.from_dict(raw)
    own, other = made.strategies["full"].training, made.strategies["head_only"].training
    assert (own.batch_size, own.loss, own.gradient_clip) == (16, "bce_with_logits", 1.0)
    assert (other.batch_size, other.loss, other.gradient_clip) == (64, "bce_with_logits", None)


def test_auto_leaves_the_number_be(changed):
    """A recipe's, a strategy's own, the experiment's or the default; it decides the result."""

    def sizes(raw: dict) -> dict[str, tuple[int, bool]]:
        made = loading.from_dict(raw).strategies
        return {k: (v.training.batch_size, v.training.in_parts) for k, v in made.items()}

    raw = changed("training", {"batch_size": "auto"})
    raw["strategies"] |= {"scratch": None, "head_only": None}
    assert sizes(raw) == {"head_only": (128, True), "full": (32, True), "scratch": (32, True)}
    raw["strategies"]["full"]["training"] = {"batch_size": 16}
    assert sizes(raw)["full"] == (16, True)
    raw = changed("training", {"batch_size": 64})
    raw["strategies"]["full"]["training"] = {"batch_size": "auto"}
    assert sizes(raw) == {"head_only": (64, False), "full": (64, True)}


def test_a_strategy_replaces_the_augmentation(changed):
    raw = changed("augmentation", [{"name": "vertical_flip"}])
    raw["strategies"]["full"]["augmentation"] = []
    made = loading.from_dict(raw)
    assert made.strategies["full"].augmentation == ()
    assert made.strategies["head_only"].augmentation == made.augmentation != ()


def test_overrides_go_over_the_file_key_by_key(minimal, tmp_path):
    file = tmp_path / "archive.yaml"
    table = {"file": "labels.csv", "image": "{id}.jpg", "label": "breed"}
    dataset = {"source": "archive", "address": "a.zip", "table": table, "split": {"seed": 3}}
    file.write_text(yaml.safe_dump(minimal | {"dataset": dataset}))
    over = "dataset={source: folder, path: x, address: null, table: null, split: {test: 0.3}}"
    made = loading.load(file, [over, "seeds=[4]"])
    assert made.dataset == config.Dataset("folder", path="x")
    assert made.split == config.Split(0.3, "auto", 3) and made.seeds == (4,)
    with pytest.raises(ConfigError, match="--config seeds: give it as key=value"):
        loading.load(file, ["seeds"])


@pytest.mark.parametrize(
    "path", [ROOT / "config/config.yaml", *sorted((ROOT / "config/experiments").glob("*.yaml"))]
)
def test_shipped_experiments_load(path):
    made = loading.load(path)
    assert config.parse(config.Experiment, config.plain(made)) == made


def test_the_default_experiment_asks_the_question():
    made = loading.load(ROOT / "config/config.yaml")
    assert list(made.strategies)[:3] == ["head_only", "full", "scratch"]
    assert len(made.seeds) >= 2 and made.backbone.weights == "bundled"
