"""Under --keep-going a strategy that fails leaves the others their verdict."""

import json
from pathlib import Path

import pandas as pd
import pytest
from small_project import CONFIG, planned, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]

COMPARISON = Path("results/cells/comparison")


def test_a_strategy_that_fails_leaves_the_others_their_verdict(changed: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    phase = config["strategies"]["full"]["phases"][0]
    phase |= {"lr": 1e30, "optimizer": "sgd"}
    write_config(changed, config)

    failed = snakemake(changed, "--keep-going")
    assert failed.returncode != 0
    reason = "the training loss is nan in epoch 1: training diverged"
    assert f"error: full/fraction-1.0/split-0/seed-0: {reason}" in failed.stderr
    assert f"Failed: {reason}" in failed.stderr
    assert failed.stderr.rindex("Verdict: 1 run has failed (1 of full)") > failed.stderr.rindex(
        "At least one job did not complete"
    )
    verdict = json.loads((changed / COMPARISON / "verdict.json").read_text())
    (missing,) = verdict["missing"]
    assert missing["reason"].startswith(reason) and missing["strategy"] == "full"
    assert {entry["strategy"] for entry in verdict["strategies"]} == {"head_only", "scratch"}
    assert set(pd.read_csv(changed / COMPARISON / "runs.csv").strategy) == {"head_only", "scratch"}
    page = (changed / "results/cells/report.html").read_text()
    assert (
        "1 run has failed (1 of full), and this compares what is left." in page and reason in page
    )

    without = {**config, "strategies": dict(config["strategies"])}
    del without["strategies"]["full"]
    write_config(changed, without)
    assert planned(changed) == {"compare": 1, "report": 1}

    phase |= {"lr": 0.001, "optimizer": "adamw"}
    write_config(changed, config)
    assert planned(changed) == {
        "train_from_images": 1,
        "evaluate": 1,
        "evidence": 1,
        "compare": 1,
        "report": 1,
    }
