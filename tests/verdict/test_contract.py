"""verdict.json keeps to its schema, whatever the study."""

import json
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from yaml import safe_load

from headstart.verdict import contract, reading, tables
from headstart.verdict.comparison import compare
from headstart.verdict.scores import Scores


def test_the_schema_is_one_and_describes_its_keys():
    schema = safe_load(contract.SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    for key, value in schema["properties"].items():
        assert "description" in value or "$ref" in value, key


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss", "roc_auc"])
def test_runs_at_two_fractions(run_dirs, metric, tmp_path):
    results = reading.read(run_dirs)
    verdict = compare(tables.runs_table(results), reading.study(results, metric), 1.0)
    contract.write(verdict, tmp_path / "verdict.json")
    assert json.loads((tmp_path / "verdict.json").read_text()) == verdict


def test_single_models_perfect_answers_and_splits_drawn_anew(answers, make_study, costs):
    one = make_study(a=([0], [answers(0.9, 0)]), b=([0], [answers(0.8, 1)]))
    perfect = make_study(a=([0, 1], np.ones((2, 50))), b=([0, 1], np.ones((2, 50))))
    rows = np.array([answers(0.9, seed) for seed in range(3)], dtype=float)
    rows[np.eye(3, dtype=bool)[:, np.arange(300) % 3]] = np.nan
    runs = ((0, 0), (1, 1), (2, 2))
    anew = {(name, 1.0): Scores(runs, rows) for name in "ab"}
    for study in (one, perfect, replace(one, cells=anew, overlap=0.25)):
        contract.check(compare(costs(a=1.0, b=2.0), study))


def test_what_breaks_the_schema_is_not_written(answers, make_study, costs, tmp_path):
    verdict = compare(costs(a=1.0), make_study(a=([0], [answers(0.9, 0)])))
    with pytest.raises(ValidationError):
        contract.write(verdict | {"leader": None}, tmp_path / "verdict.json")
    assert not (tmp_path / "verdict.json").exists()
