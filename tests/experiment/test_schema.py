"""The schema: one line for every value that it refuses, and a default for everything else."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from headstart.experiment import loading
from headstart.experiment.schema import SCHEMA

FOLDER = {"source": "folder", "path": "images"}
TABLE = {"file": "labels.csv", "image": "train/{id}.jpg", "label": "breed"}
ALL = {"train": "all", "epochs": 2, "lr": 0.001}
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
    ("training", {"batch_size": "many"}, ["training.batch_size", "'many'", "a number or auto"]),
    ("training", {"batch_size": 0}, ["training.batch_size", "0", "at least 1"]),
    ("training", {"in_parts": True}, ["training.in_parts", "not a known key"]),
    ("training", {"precision": "fp16"}, ["training.precision", "'fp16'", "auto or fp32 or bf16"]),
    ("training", {"label_smoothing": 1}, ["training.label_smoothing", "1", "less than 1"]),
    ("training", {"gradient_clip": 0}, ["training.gradient_clip", "0", "greater than 0"]),
    ("seeds", [0, 0], ["seeds", "[0, 0]", "not repeat"]),
    ("seeds", [1.0], ["seeds[0]", "1.0", "integer"]),
    ("seeds", [], ["seeds", "[]", "at least 1"]),
    ("seeds", [-1], ["seeds[0]", "-1", "at least 0"]),
    ("fractions", [0.1, 0.10], ["fractions", "[0.1, 0.1]", "not repeat"]),
    ("fractions", [1, 1.0], ["fractions", "not repeat"]),
    ("fractions", [0], ["fractions[0]", "at least 0.0001"]),
    ("strategies", {}, ["strategies", "{}", "at least 1"]),
    ("strategies.Full", {"init": "pretrained", "phases": [ALL]}, ["strategies", "'Full'"]),
    ("strategies.7th", {"init": "pretrained", "phases": [ALL]}, ["strategies", "'7th'", "match"]),
    ("strategies.full", 3, ["strategies.full", "3", "object"]),
    ("strategies", 3, ["strategies", "3", "object"]),
    ("strategies", {}, ["strategies", "{}", "at least 1"]),
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
    (f"{PHASE0}.rank", 8, ["phases[0].rank", "not a known key", "lr"]),
    ("strategies.full.phases", [ALL | {"train": "lora", "rank": 0}], ["[0].rank", "at least 1"]),
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
]


@pytest.mark.parametrize(("path", "value", "parts"), MISTAKES)
def test_a_mistake_is_one_line_with_key_value_and_rule(changed, error_of, path, value, parts):
    text = error_of(changed(path, value))
    assert [part for part in parts if part not in text] == [], text


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"source": "archive"}, ["dataset.address is missing"]),
        ({"source": "archive", "address": "a", "path": "b"}, ["dataset.path is not", "address"]),
        ({"source": "archive", "address": "a", "hash": 1}, ["dataset.hash is 1"]),
        ({"source": "csv", "path": "a"}, ["dataset.table is missing"]),
        ({"source": "csv", "path": "a", "table": TABLE, "hash": "b"}, ["dataset.hash is not"]),
        ({"source": "torchvision"}, ["dataset.name is missing"]),
        ({"source": "torchvision", "name": "MNIST"}, ["'MNIST'", "CIFAR10 or CIFAR100"]),
        ({"source": "torchvision", "name": "CIFAR10", "hash": "b"}, ["dataset.hash is not"]),
        ({"source": "web"}, ["'web'", "archive or torchvision"]),
        (
            {"source": "csv", "path": "a", "table": TABLE | {"join": [{"file": "b", "on": "c"}]}},
            ["dataset.table.join[0].on is not", "columns, file, separator"],
        ),
        (
            {
                "source": "csv",
                "path": "a",
                "table": TABLE | {"part": {"column": "b", "values": {1: "training"}}},
            },
            ["dataset.table.part.values.1 is 'training'", "train or val or test"],
        ),
    ],
)
def test_a_mistake_in_the_dataset_is_one_line(changed, error_of, settings, words):
    text = error_of(changed("dataset", settings))
    assert all(word in text for word in words), text


def test_a_broken_value_is_not_counted_as_an_unknown_key_too(changed, error_of):
    assert "more)" not in error_of(changed("augmentation", [{"name": "vertical_flip", "p": 2}]))
    assert "more)" not in error_of(changed("augmentation", [{"name": "rotation"}]))


def test_several_mistakes_are_counted(changed, error_of):
    raw = changed("seeds", [])
    raw["fractions"] = []
    assert error_of(raw).endswith("(and 1 more)")


@pytest.mark.parametrize("key", [1, True, None])
def test_a_key_that_is_no_text_is_unknown(minimal, changed, error_of, key):
    assert f"{key} is not a known key" in error_of(minimal | {key: 1})
    raw = changed("strategies", {key: minimal["strategies"]["full"]})
    assert f"strategies is '{key}', but must match" in error_of(raw)


def test_a_rank_belongs_to_low_rank_phases(changed):
    lora, few = ALL | {"train": "lora"}, ALL | {"train": "biases_and_norms"}
    raw = changed("strategies.full.phases", [lora, lora | {"rank": 2}, few])
    phases = loading.from_dict(raw).strategies["full"].phases
    assert [phase.rank for phase in phases] == [8, 2, 0]


def test_strengths_belong_to_linear_probes(changed, error_of):
    probe = {"train": "probe", "classifier": "knn"}
    phases = [
        loading.from_dict(changed("strategies.head_only.phases", [probe | over]))
        for over in ({}, {"classifier": "linear_svm"})
    ]
    assert [made.strategies["head_only"].phases[0].strengths for made in phases] == [0, 45]
    text = error_of(changed("strategies.head_only.phases", [probe | {"strengths": 5}]))
    assert "phases[0].strengths is not a known key; allowed: classifier, train" in text
    text = error_of(changed("strategies.head_only.phases", [{"train": "probe"}]))
    assert text.endswith("phases[0].classifier is missing")


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
    # loading.from_dict knows; an archive without a table is another kind of archive; strategies
    # that are left out are recipes
    inherited = {
        ".strategies",
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


def test_defaults_obey_their_own_schema(changed):
    """A default outside its bounds would fail every config that leaves it out."""
    for name in ["horizontal_flip", "random_resized_crop", "random_crop", "color_jitter"]:
        loading.from_dict(changed("augmentation", [{"name": name}]))
    loading.from_dict(changed("augmentation", [{"name": "rand_augment"}]))
