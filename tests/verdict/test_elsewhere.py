"""What a further test set says beside the verdict at home."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headstart.data import manifest
from headstart.verdict import comparison, contract, elsewhere, reading

ROOT = Path(__file__).parents[2]


def pair(a: str, b: str, answer: str, difference: float = 0.1) -> dict:
    return {"a": a, "b": b, "answer": answer, "difference": difference}


def verdict(names: str, *pairs: dict) -> dict:
    entry = {"mean": 0.812, "low": 0.75, "high": 0.86}
    return {
        "metric": "accuracy",
        "metric_name": "accuracy",
        "n_test": 1212,
        "leader": names[0],
        "recommended": None,
        "strategies": [{"strategy": name, **entry} for name in names],
        "comparisons": list(pairs),
    }


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (
            verdict("ab", pair("a", "b", "better")),
            "on field (1,212 images) a leads, as at home, with an accuracy of 81.2 % (95 % "
            "interval 75.0 to 86.0 %), and no answer changes",
        ),
        (
            verdict("ba", pair("b", "a", "better")),
            "b leads, not a, with an accuracy of 81.2 % (95 % interval 75.0 to 86.0 %), and an "
            "answer changes: of a and b a better at home, b better there",
        ),
        (
            verdict("ab", pair("a", "b", "undecided")),
            "but an answer changes: of a and b a better at home, undecided there",
        ),
        (verdict("ba", pair("b", "a", "better", -0.1)), "b leads, not a,"),
        (verdict("ba", pair("b", "a", "better", -0.1)), "%), but no answer changes"),
    ],
)
def test_who_leads_there_and_whether_answers_change(there, told):
    home = verdict("ab", pair("a", "b", "better"))
    assert told in elsewhere.told(home, "field", there)["statement"]


def test_a_strategy_that_is_not_tested_there_is_left_out():
    """An ensemble that leads at home is no part of the comparison."""
    pairs = [pair("e", "a", "better"), pair("e", "b", "better"), pair("a", "b", "as good")]
    there = verdict("ab", pair("a", "b", "as good"))
    told = elsewhere.told(verdict("eab", *pairs), "field", there)
    assert "a leads, as at home" in told["statement"] and told["changes"] == []


def test_a_single_strategy_reaches_something():
    told = elsewhere.told(verdict("a"), "field", verdict("a"))
    assert told["statement"].startswith("on field (1,212 images) a reaches an accuracy of 81.2 %")


def test_the_verdict_at_home_tells_of_a_set_and_keeps_to_its_schema(costs, make_study, answers):
    def study(good: float, poor: float):
        rows = [[answers(p, 10 * k + s) for s in range(3)] for k, p in enumerate((good, poor))]
        return make_study(full=((0, 1, 2), rows[0]), head_only=((0, 1, 2), rows[1]))

    runs = costs(full=60.0, head_only=5.0)
    there = comparison.compare(runs, study(0.6, 0.9))
    assert there["tests"] == [] and there["leader"] == "head_only"
    home = comparison.compare(runs, study(0.95, 0.8), tests={"field": there})
    contract.check(home)
    (entry,) = home["tests"]
    assert entry["changes"] == [
        {"a": "full", "b": "head_only", "home": "full better", "there": "head_only better"}
    ]
    assert "On field (300 images) head_only leads, not full, with" in home["statement"]


def test_the_step_compares_what_was_predicted_there(tmp_path, write_run, images, answers):
    """The record of each run is at home, its predictions elsewhere; images may have groups."""
    runs = [
        write_run(name, seed, answers(0.8 + 0.1 * k, 10 * k + seed))
        for k, name in enumerate(("scratch", "full"))
        for seed in (0, 1)
    ]
    records = [tmp_path / "home" / run.name / "run.json" for run in runs]
    for run, record in zip(runs, records, strict=True):
        record.parent.mkdir(parents=True)
        (run / "run.json").rename(record)
    table = pd.DataFrame("", images.index, manifest.COLUMNS).assign(id=images.id)
    table.assign(group=np.arange(300) // 2).to_csv(tmp_path / "manifest.csv", index=False)
    step = runpy.run_path(str(ROOT / "workflow/scripts/compare_further.py"))
    outputs = tmp_path / "summary.csv", tmp_path / "verdict.json"
    files = step["Files"](
        tuple(records),
        tuple(run / "predictions.parquet" for run in runs),
        tmp_path / "manifest.csv",
        *outputs,
    )
    step["main"](files, "accuracy", 1.0)
    found = json.loads(outputs[1].read_text())
    assert found["leader"] == "full" and found["n_test"] == 300 and found["n_groups"] == 150
    assert set(pd.read_csv(outputs[0]).strategy) == {"scratch", "full"}


def test_models_of_several_splits_may_share_their_test_images(write_run, answers):
    """On a further set the models of all folds answer for the same images."""
    rows = {split: answers(0.8, split) for split in (0, 1)}
    runs = [write_run("a", seed, rows[split], split=split) for split in (0, 1) for seed in (3, 4)]
    study = reading.study(reading.read(runs))
    cell = study.cells["a", 1.0]
    assert study.tested(("a", 1.0)) == 300 and cell.replicates.shape == (2, 300)
    np.testing.assert_allclose(cell.replicates[0], (rows[0].astype(float) + rows[1]) / 2)
