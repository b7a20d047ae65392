"""Strategies that need no number of the user's."""

import copy

import pytest
import yaml

from headstart.experiment import config, loading, recipes
from headstart.experiment.strategies import Phase

NAMES = ["head_only", "probe", "full", "lp_ft", "last_stages", "scratch"]


@pytest.fixture
def two_lines() -> dict:
    return {"experiment": "mine", "dataset": {"source": "folder", "path": "photos"}}


def test_a_folder_and_a_name_are_an_experiment(two_lines):
    made = loading.from_dict(two_lines)
    assert list(made.strategies) == ["head_only", "full", "scratch"] and len(made.seeds) == 3
    assert [t.name for t in made.augmentation] == ["random_resized_crop", "horizontal_flip"]
    assert made == loading.from_dict(two_lines | {"strategies": ["head_only", "full", "scratch"]})


def test_every_recipe_is_a_checked_strategy(two_lines):
    assert list(recipes.built_in()) == NAMES
    made = loading.from_dict(two_lines | {"strategies": NAMES}).strategies
    assert list(made) == NAMES
    assert all(made[name].from_features for name in ("head_only", "probe"))
    assert made["lp_ft"].starts_with_probe and not made["lp_ft"].is_probe
    kept = {name: {phase.norm for phase in made[name].phases} for name in NAMES}
    assert kept["scratch"] == {"batch"}
    assert all(norms == {"frozen"} for name, norms in kept.items() if name != "scratch")


def test_a_recipe_stands_beside_a_strategy_of_one_s_own(two_lines):
    own = {"init": "pretrained", "phases": [{"train": "head", "epochs": 1, "lr": 0.1}]}
    raw = two_lines | {"strategies": {"own": own, "full": None}}
    before = copy.deepcopy(raw)
    made = loading.from_dict(raw)
    assert raw == before and list(made.strategies) == ["own", "full"]
    alone = loading.from_dict(two_lines | {"strategies": ["full"]})
    assert made.strategies["full"] == alone.strategies["full"]


def test_a_recipe_takes_the_experiment_s_training_settings(two_lines):
    raw = two_lines | {"training": {"sampling": "balanced"}, "strategies": ["full"]}
    full = loading.from_dict(raw).strategies["full"]
    assert full.training.sampling == "balanced" and full.training.select_by == "last"


@pytest.mark.parametrize(
    ("strategies", "parts"),
    [
        (["head_only", "fulll"], ["strategies[1] is 'fulll'", "no built-in recipe", "lp_ft"]),
        ({"mine": None}, ["strategies.mine is 'mine'", "init and phases"]),
        (["full", "full"], ["strategies names a recipe twice"]),
        ([], ["strategies is {}", "at least 1"]),
    ],
)
def test_a_name_that_is_no_recipe_is_one_line(two_lines, error_of, strategies, parts):
    text = error_of(two_lines | {"strategies": strategies})
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("images", "epochs"), [(20, 40), (32, 40), (33, 20), (320, 4), (3200, 3), (100_000, 3)]
)
def test_a_small_set_gets_enough_steps_and_a_large_one_no_more(make_strategy, images, epochs):
    strategy = make_strategy({"epochs": 3, "steps": 40}, batch_size=32).fitted(images)
    assert strategy.epochs == epochs
    assert epochs * -(-images // 32) >= 40
    assert strategy.fitted(images) == strategy


def test_steps_add_nothing_where_none_are_asked():
    assert Phase("all", epochs=2).fitted(1).epochs == 2


def test_statistics_are_kept_where_weights_brought_some(minimal, changed):
    made = loading.from_dict(minimal).strategies["full"].phases[0]
    assert made.norm == "frozen"
    raw = changed("training", {"norm": "batch"})
    assert loading.from_dict(raw).strategies["full"].phases[0].norm == "batch"
    raw["strategies"]["full"]["training"] = {"norm": "frozen"}
    assert loading.from_dict(raw).strategies["full"].phases[0].norm == "frozen"
    raw["strategies"]["full"]["phases"][0]["norm"] = "batch"
    assert loading.from_dict(raw).strategies["full"].phases[0].norm == "batch"


def test_a_random_start_has_no_statistics_to_keep(changed, error_of):
    raw = changed("strategies.full.init", "random")
    assert loading.from_dict(raw).strategies["full"].phases[0].norm == "batch"
    raw["training"] = {"norm": "frozen"}
    text = error_of(raw)
    assert "strategies.full.phases[0].norm is 'frozen'" in text and "leave norm out" in text


def test_the_recipes_file_says_what_loading_makes(two_lines):
    raw = yaml.safe_load(recipes.RECIPES.read_text())
    for name, settings in raw.items():
        made = loading.from_dict(two_lines | {"strategies": {name: settings}})
        assert isinstance(made, config.Experiment)
        assert (
            made.strategies[name]
            == loading.from_dict(two_lines | {"strategies": [name]}).strategies[name]
        )
