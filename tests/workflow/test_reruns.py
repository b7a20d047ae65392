"""A changed value reruns exactly what it affects."""

import json
import shutil
from pathlib import Path

import pytest
from small_project import CONFIG, planned, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def learning_rate(config: dict) -> None:
    config["strategies"]["full"]["phases"][0]["lr"] = 0.002


def epochs(config: dict) -> None:
    config["strategies"]["head_only"]["phases"][0]["epochs"] = 4


def data_seed(config: dict) -> None:
    config["dataset"]["split"]["seed"] = 1


def flips(config: dict) -> None:
    config["evaluation"] = {"flips": ["horizontal"]}


def margin(config: dict) -> None:
    config["verdict"] = {"margin": 3}


def title(config: dict) -> None:
    config["report"]["title"] = "Another title"


def augmentation(config: dict) -> None:
    config["augmentation"].append({"name": "vertical_flip"})


def batch_size(config: dict) -> None:
    config["training"]["batch_size"] = 8


def new_strategy(config: dict) -> None:
    config["strategies"]["last"] = {
        "init": "pretrained",
        "phases": [{"train": "last_k_stages", "stages": 1, "epochs": 1, "lr": 0.001}],
    }


def smaller_fraction(config: dict) -> None:
    config["fractions"] = [0.5, 1.0]


def folds(config: dict) -> None:
    config["dataset"]["split"] = {"val": 0.2, "folds": 2}


def another_seed(config: dict) -> None:
    config["seeds"] = [0, 1]


def test_the_same_values_written_otherwise_rerun_nothing(project: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["fractions"] = [1.0]
    config["strategies"] = dict(reversed(config["strategies"].items()))
    config["strategies"]["full"]["phases"][0]["weight_decay"] = 0.010
    write_config(project, config)
    try:
        assert planned(project) == {}
    finally:
        write_config(project, CONFIG)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (learning_rate, {"train_from_images": 1, "evaluate": 1, "evidence": 1}),
        (epochs, {"train_from_features": 1, "evaluate": 1, "evidence": 1}),
        (
            data_seed,
            {"split": 1, "freeze": 1, "health": 1, "sanity": 1, "test_features": 1}
            | {"train_from_features": 1, "train_from_images": 2, "evaluate": 3, "evidence": 1},
        ),
        (
            augmentation,
            {"sanity": 1, "features": 1, "health": 1}
            | {"train_from_features": 1, "train_from_images": 2, "evaluate": 3, "evidence": 1},
        ),
        (
            batch_size,
            {"train_from_features": 1, "train_from_images": 2, "evaluate": 3, "evidence": 1},
        ),
        (new_strategy, {"train_from_images": 1, "evaluate": 1, "evidence": 1}),
        (another_seed, {"train_from_features": 1, "train_from_images": 2, "evaluate": 3}),
        (smaller_fraction, {"train_from_features": 1, "train_from_images": 2, "evaluate": 3}),
        (
            folds,
            {"split": 2, "freeze": 1, "health": 1, "sanity": 1, "test_features": 2}
            | {"train_from_features": 2, "train_from_images": 4, "evaluate": 6, "evidence": 1},
        ),
        (flips, {"test_features": 1, "evaluate": 3, "evidence": 1}),
        (margin, {"compare": 1}),
        (title, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_changed_value_reruns_what_it_affects(
    project: Path, change, expected: dict[str, int] | None
) -> None:
    config = json.loads(json.dumps(CONFIG))
    change(config)
    write_config(project, config)
    try:
        jobs = planned(project)
    finally:
        write_config(project, CONFIG)
    assert jobs == ({"compare": 1, "report": 1} | expected if expected else {"report": 1})


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("verdict/evaluation.py", {"evaluate": 3, "evidence": 1}),
        ("verdict/words.py", {}),
        ("verdict/suspects.py", {"health": 1}),
        (
            "training/loop.py",
            {"train_from_features": 1, "train_from_images": 2, "evaluate": 3, "evidence": 1},
        ),
    ],
)
def test_an_edited_library_module_reruns_the_rules_that_import_it(
    changed: Path, module: str, expected: dict[str, int]
) -> None:
    path = changed / "workflow/headstart" / module
    path.write_text(path.read_text() + "\n# edited\n")
    assert planned(changed) == {"compare": 1, "report": 1} | expected


def test_an_added_image_is_noticed(changed: Path) -> None:
    some = next((changed / "images/defective").glob("cell*.jpg"))
    shutil.copy(some, some.with_name("added.jpg"))
    assert planned(changed)["manifest"] == 1


def test_numbers_on_the_command_line_are_numbers(project: Path) -> None:
    overrides = ["seeds=[0]", "dataset={split: {test: 0.3, seed: 0}}", "image={size: 32}"]
    done = snakemake(project, "--dry-run", "--config", *overrides)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_part_of_the_experiment_can_be_asked_for(changed: Path) -> None:
    shutil.rmtree(changed / "results")
    done = snakemake(changed, "results/cells/source.csv")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
