"""The first screen's words say what the verdict shows, and no more."""

from pathlib import Path
from typing import Any

import pytest
from small_study import make

from headstart.report import headline
from headstart.report.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make(tmp_path_factory.mktemp("told"))


def told(study: Study, answers: tuple[str, str], recommended: str | None) -> str:
    """The answer, were these shown of the leader and the others."""
    pairs = [pair for pair in study.verdict["comparisons"] if pair["a"] == "full"]
    changed: list[dict[str, Any]] = [
        pair | {"answer": answer} for pair, answer in zip(pairs, answers, strict=True)
    ]
    verdict = study.verdict | {"comparisons": changed, "recommended": recommended}
    return headline.answer(verdict)


def test_each_of_the_three_answers_has_its_words(study: Study) -> None:
    start = "full leads with 92.8 % accuracy: "
    assert told(study, ("better", "better"), "full") == (
        f"{start}better than head_only and scratch"
    )
    assert told(study, ("as good", "undecided"), None) == (
        f"{start}within 1 point of head_only and undecided against scratch"
    )


def test_many_others_are_counted(study: Study) -> None:
    (pair, *_) = study.verdict["comparisons"]
    many = [pair | {"b": f"other{k}", "answer": "better"} for k in range(5)]
    said = headline.answer(study.verdict | {"comparisons": many, "recommended": "full"})
    assert said.endswith("better than all others")
    many[0] = many[0] | {"answer": "undecided"}
    said = headline.answer(study.verdict | {"comparisons": many, "recommended": None})
    assert said.endswith("better than 4 others and undecided against other0")


def test_the_cheapest_that_is_as_good_is_enough(study: Study) -> None:
    said = told(study, ("as good", "better"), "head_only")
    assert said.startswith(
        "head_only is enough: with 88.9 % accuracy it is as good as full (92.8 %"
    )
    assert "within 1 point" in said


def test_one_seed_is_told_to_be_about_models(tmp_path: Path) -> None:
    study = make(tmp_path, ("full", "scratch"), seeds=(0,))
    said = headline.advice(study.verdict, study.runs_table)
    assert said.startswith("One seed: all this is about these two trained models;")


def test_a_single_strategy_has_no_advice_but_its_cost(tmp_path: Path) -> None:
    study = make(tmp_path, ("full",))
    assert headline.answer(study.verdict).startswith("full, the only strategy, reaches 9")
    assert headline.advice(study.verdict, study.runs_table) == ""
    cost = headline.costs(study.verdict, study.runs_table, study.summary)
    assert cost == "A run of full costs 21\u00a0s of device time and trains 10 parameters."
