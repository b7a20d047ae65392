"""Further test sets: evaluated with a verdict of their own, and out of reach of any training."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_project import PER_CLASS, TUNED, planned, snakemake, write_cells, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("trials")]

RESULTS = Path("results/cells")
FURTHER = {"fetch_further", "admit", "cache_further", "evaluate_further", "compare_further"}
TESTED = TUNED | {"tests": {"field": "field", "worn": "worn"}}


@pytest.fixture(scope="module")
def abroad(tuned, tmp_path_factory) -> Path:
    """A finished experiment to which two further sets were added; the plan of that is kept."""
    abroad = Path(shutil.copytree(tuned, tmp_path_factory.mktemp("abroad") / "copy"))
    write_cells(abroad / "field", slice(PER_CLASS - 1, PER_CLASS + 12))
    write_cells(abroad / "worn", slice(PER_CLASS + 12, PER_CLASS + 24))
    shutil.rmtree(abroad / "worn/functional")
    write_config(abroad, TESTED)
    (abroad / "plan.json").write_text(json.dumps(planned(abroad)))
    assert (done := snakemake(abroad)).returncode == 0, done.stderr
    (abroad / "terminal.txt").write_text(done.stderr)
    return abroad


def test_adding_sets_trains_nothing(abroad):
    plan = json.loads((abroad / "plan.json").read_text())
    assert set(plan) == FURTHER | {"compare", "report"}
    assert plan["evaluate_further"] == 2 * 3 * 2 and plan["compare_further"] == 2
    assert planned(abroad) == {}


def test_no_training_reads_a_further_set(abroad):
    """What every model takes from the beginning, and what the trainings' own rules take."""
    models = [
        str(path.relative_to(abroad))
        for path in abroad.glob(f"{RESULTS}/runs/*/*/*/*/*.safetensors")
    ]
    plan = planned(abroad, *models, "--forceall")
    assert plan["train_from_features"] == plan["train_from_images"] == plan["mix"] == 2
    assert not set(plan) & (FURTHER | {"evaluate", "compare"})


def test_images_of_the_experiment_are_left_out_and_counted(abroad):
    """One image of each class is a copy of one at home."""
    field = abroad / RESULTS / "tests/field"
    test = pd.read_csv(field / "test.csv")
    assert len(test) == 24 and "experiment's own images: 2 (" in (field / "notes.txt").read_text()


def test_every_model_is_tested_as_at_home(abroad):
    for path in abroad.glob(f"{RESULTS}/runs/*/*/*/*/model.safetensors"):
        place = path.parent.relative_to(abroad / RESULTS)
        home, there = (
            json.loads((abroad / RESULTS / root / place / "metrics.json").read_text())
            for root in (".", "tests/worn")
        )
        assert there["temperature"] == home["temperature"] and there["classes"] == home["classes"]
        answers = pd.read_parquet(abroad / RESULTS / "tests/worn" / place / "predictions.parquet")
        assert len(answers) == there["n_test"] == 12 and set(answers.label) == {"defective"}
    assert not list(abroad.glob(f"{RESULTS}/tests/*/runs/mean")), "ensembles are left out"


def test_each_set_has_its_verdict_and_its_sentence(abroad):
    home = json.loads((abroad / RESULTS / "comparison/verdict.json").read_text())
    assert [entry["name"] for entry in home["tests"]] == ["field", "worn"]
    terminal = " ".join((abroad / "terminal.txt").read_text().split())
    page = (abroad / RESULTS / "report.html").read_text()
    assert '<section id="tests">' in page
    for entry, count in zip(home["tests"], (24, 12), strict=True):
        own = json.loads((abroad / RESULTS / "tests" / entry["name"] / "verdict.json").read_text())
        assert own["leader"] == entry["leader"] and own["n_test"] == entry["n_test"] == count
        assert {each["strategy"] for each in own["strategies"]} == {"probe", "lp_ft", "soup"}
        told = f"On {entry['name']} ({count} images) {own['leader']} leads"
        assert told in home["statement"] and told in terminal and told in page
        summary = pd.read_csv(abroad / RESULTS / "tests" / entry["name"] / "summary.csv")
        assert set(summary.strategy) == {"probe", "lp_ft", "soup"}


def test_a_changed_set_reruns_what_reads_it(abroad):
    write_config(abroad, TESTED | {"tests": {"field": "field"}})
    plan = planned(abroad)
    write_config(abroad, TESTED)
    assert set(plan) == {"compare", "report"}, "one set less"
    path = next((abroad / "worn/defective").glob("*.jpg"))
    path.rename(path.with_stem("renamed"))
    plan = planned(abroad)
    path.with_stem("renamed").rename(path)
    assert set(plan) == FURTHER | {"compare", "report"}
    assert plan["fetch_further"] == 1 and plan["evaluate_further"] == 6
