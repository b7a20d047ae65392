"""Rules that span several keys: one line with the key that breaks one."""

import pytest

from headstart.experiment import loading

PHASE0 = "strategies.full.phases.0"
MISTAKES = [
    (f"{PHASE0}.min_lr", 0.1, ["phases[0].min_lr", "0.1", "at most", "0.001"]),
    (f"{PHASE0}.stages", 2, ["phases[0].stages", "2", "'all'", "last_k_stages"]),
    (f"{PHASE0}.train", "last_k_stages", ["phases[0].stages", "None", "last_k_stages"]),
    (
        "strategies.full.phases",
        [{"train": "head", "epochs": 1, "lr": 0.1}, {"train": "probe", "classifier": "linear_svm"}],
        ["strategies.full.phases have a probe after another phase", "only come first"],
    ),
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
    (
        "strategies.full.phases",
        [{"train": "probe", "classifier": "knn"}, {"train": "all", "epochs": 1, "lr": 0.1}],
        ["strategies.full.phases[0].classifier is 'knn'", "no head to go on from"],
    ),
    (
        "derived",
        {"soup": {"kind": "wise_ft", "of": "ful", "start": "head_only"}},
        ["derived.soup.of is 'ful'", "head_only, full", "name one of them"],
    ),
    ("derived", {"soup": {"kind": "wise_ft", "of": "full"}}, ["derived.soup.start is None"]),
    ("derived", {"full": {"kind": "ensemble", "of": "full"}}, ["derived.full", "its own"]),
    (
        "derived",
        {"mean": {"kind": "ensemble", "of": "full", "start": "head_only"}},
        ["derived.mean.start is 'head_only'", "leave it out"],
    ),
]


def test_an_ensemble_needs_several_seeds_of_a_split(changed, error_of):
    raw = changed("derived", {"mean": {"kind": "ensemble", "of": "full"}})
    assert loading.from_dict(raw).derived_by("ensemble") == ["mean"]
    assert "derived.mean.kind is 'ensemble', but each split" in error_of(raw | {"seeds": [3]})
    raw["dataset"]["split"] = {"redraw": True}
    assert "give several seeds" in error_of(raw)


def test_a_probe_needs_pretrained_features(changed, error_of):
    probe = {"train": "probe", "classifier": "logistic_regression"}
    raw = changed("strategies.full.phases", [probe, {"train": "all", "epochs": 1, "lr": 0.1}])
    assert loading.from_dict(raw).strategies["full"].starts_with_probe
    raw["strategies"]["full"]["init"] = "random"
    assert "begin with a probe" in error_of(raw)


@pytest.mark.parametrize(("path", "value", "parts"), MISTAKES)
def test_a_broken_rule_is_one_line_with_key_value_and_rule(changed, error_of, path, value, parts):
    text = error_of(changed(path, value))
    assert [part for part in parts if part not in text] == [], text


def test_images_start_no_larger_than_they_end(changed, error_of):
    raw = changed("image", {"size": 64})
    raw["strategies"]["full"]["phases"][0]["start_size"] = 80
    assert "phases[0].start_size is 80, but must be at most image.size, 64" in error_of(raw)


def test_every_gpu_needs_an_image_of_each_batch(changed, error_of):
    raw = changed("training", {"batch_size": 3, "gpus": 4})
    assert "training.gpus is 4, but must be at most batch_size, 3" in error_of(raw)
    assert loading.from_dict(changed("training", {"gpus": 4})).training.gpus == 4


def test_auto_is_for_one_gpu(changed, error_of):
    raw = changed("training", {"batch_size": "auto", "gpus": 2})
    assert "training.gpus is 2, but batch_size is 'auto'" in error_of(raw)
    raw = changed("strategies.full.training", {"batch_size": "auto", "gpus": 2})
    assert error_of(raw).startswith("tiny.yaml: strategies.full.training.gpus")


def test_a_broken_rule_is_told_of_the_key_that_was_written(changed, error_of):
    ratio = [{"name": "random_resized_crop", "ratio": [1.5, 0.5]}]
    assert error_of(changed("augmentation", ratio)).startswith("tiny.yaml: augmentation[0].ratio")
    raw = changed("training", {"gpus": 4, "batch_size": 3})
    assert error_of(raw).startswith("tiny.yaml: training.gpus")
    raw = changed("strategies.full.training", {"gpus": 4, "batch_size": 3})
    assert error_of(raw).startswith("tiny.yaml: strategies.full.training.gpus")
