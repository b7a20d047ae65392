"""Trials, recipes and derived strategies, as Snakemake runs them."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from safetensors.torch import load_file
from small_project import RUNS, TUNED, planned, write_config

from headstart import cli
from headstart.experiment import tuning
from headstart.tracking import connection
from headstart.tracking.runlog import STANDS_FOR

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("trials")]


def run_of(tuned: Path, strategy: str, seed: int = 0) -> Path:
    return tuned / RUNS / strategy / f"fraction-1.0/split-0/seed-{seed}"


def choice_of(tuned: Path, strategy: str) -> dict:
    path = tuned / "results/cells/tuning" / strategy / "fraction-1.0/split-0/choice.json"
    return json.loads(path.read_text())


def test_every_strategy_is_tuned_with_as_many_trials(tuned):
    for strategy in ("probe", "lp_ft"):
        choice = choice_of(tuned, strategy)
        assert len(choice["trials"]) == 2
        trials = sorted(tuned.glob(f"results/cells/tuning/{strategy}/*/*/seed-0/trial-*.json"))
        losses = [json.loads(trial.read_text())["losses"] for trial in trials]
        n_val = json.loads((run_of(tuned, strategy, 1) / "run.json").read_text())["n_val"]
        assert choice["chosen"] == tuning.chosen(losses) and len(losses[0]) >= n_val
        assert choice["images"] == len(losses[0])
        run = json.loads((run_of(tuned, strategy, 1) / "run.json").read_text())
        assert run["trials"] == 2
        assert run["tuning_device_seconds"] == choice["device_seconds"] > 0
        trained = run["settings"]["strategy"]["phases"]
        assert trained == choice["strategy"]["phases"], "what was chosen is what trained"


def test_the_tables_count_trials_and_their_cost(tuned):
    runs = pd.read_csv(tuned / "results/cells/comparison/runs.csv").set_index("strategy")
    assert set(runs.index) == {"probe", "lp_ft", "soup", "mean"}
    assert (runs.trials == 2).all()
    own = json.loads((run_of(tuned, "lp_ft") / "run.json").read_text())
    parts = ("device_seconds", "feature_device_seconds", "tuning_device_seconds")
    row = runs.loc["lp_ft"].set_index("seed").loc[0]
    assert row.device_seconds == pytest.approx(sum(own[part] for part in parts))
    assert runs.derived.to_dict()["soup"] == "wise_ft" and len(runs.loc[["mean"]]) == 1
    verdict = json.loads((tuned / "results/cells/comparison/verdict.json").read_text())
    assert {each["strategy"] for each in verdict["strategies"]} == {"probe", "lp_ft", "soup"}
    page = (tuned / "results/cells/report.html").read_text()
    assert "derived" in page and '<section id="tuning">' in page
    assert page.count("strength ") >= 2 and page.count("norm frozen") >= 2


def test_a_mixture_lies_between_the_models_it_is_made_from(tuned):
    start, end, soup = (
        load_file(run_of(tuned, name) / "model.safetensors") for name in ("probe", "lp_ft", "soup")
    )
    history = pd.read_csv(run_of(tuned, "soup") / "history.csv")
    run = json.loads((run_of(tuned, "soup") / "run.json").read_text())
    share = history.set_index("epoch").lr[run["best_epoch"]]
    assert run["derived"] == "wise_ft" and 0 <= share <= 1
    for name, value in soup.items():
        if value.is_floating_point():
            assert (value - start[name].lerp(end[name], share)).abs().max() < 1e-6


def test_an_ensemble_is_the_mean_of_its_seeds(tuned):
    frames = [
        pd.read_parquet(run_of(tuned, name, seed) / "predictions.parquet").filter(like="p:")
        for name, seed in (("lp_ft", 0), ("lp_ft", 1), ("mean", 0))
    ]
    assert ((frames[0] + frames[1]) / 2 - frames[2]).abs().to_numpy().max() < 1e-6


def test_mlflow_has_the_trials_below_their_strategy(tuned):
    store = connection.read(tuned / "results/cells/tracking.json")
    uri = f"sqlite:///{tuned / 'results/mlflow/mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    found = client.search_runs([store["experiment_id"]], "tags.`headstart.kind` = 'trial'")
    assert sorted(run.data.tags["trial"] for run in found) == ["0", "0", "1", "1"]
    for run in found:
        parent = client.get_run(run.data.tags["mlflow.parentRunId"])
        assert parent.data.tags["headstart.kind"] == "tuning"
        assert parent.data.tags["strategy"] == run.data.tags["strategy"]
        assert run.data.metrics["val_loss"] >= 0 and run.info.status == "FINISHED"


def test_the_index_is_what_the_jobs_logged(tuned, monkeypatch):
    """Trials, models and derived strategies included; into another store, and into a lost one."""
    monkeypatch.chdir(tuned)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tuned}/other.db")
    logged = told(f"sqlite:///{tuned}/results/mlflow/mlflow.db")
    assert cli.main(["index", "--store", f"sqlite:///{tuned}/other.db"]) == 0
    indexed = told(f"sqlite:///{tuned}/other.db")
    assert len(indexed) == 4 + 2 + 1 + 2 + 4 + 1, "runs, soups, mean, tunings, trials, parent"
    assert indexed == logged


def told(address: str) -> dict:
    """What a store says of each run that none supersedes."""
    client = mlflow.MlflowClient(address)
    (experiment,) = client.search_experiments(filter_string="name = 'cells'")
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    models = client.search_logged_models([experiment.experiment_id])
    signatures = {model.source_run_id: set(model.tags) for model in models}
    own = ("mlflow.parentRunId", STANDS_FOR, "mlflow.log-model.history")
    found = {}
    for run in runs:
        tags, run_id = run.data.tags, run.info.run_id
        if tags.get("headstart.superseded") == "true":
            continue
        found[run.info.run_name] = (
            run.info.status,
            run.data.params,
            run.data.metrics,
            {key: value for key, value in tags.items() if key not in own},
            names.get(tags.get("mlflow.parentRunId", "")),
            [item.path for item in client.list_artifacts(run_id)],
            [item.path for item in client.list_artifacts(run_id, "figures")],
            signatures.get(run_id),
            [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs],
            len(client.get_metric_history(run_id, "val_loss")),
        )
    return found


def test_a_further_trial_is_the_only_one_that_runs(tuned):
    write_config(tuned, TUNED | {"tuning": {"trials": 3}})
    plan = planned(tuned)
    assert plan["try_from_features"] == 1 and plan["try_from_images"] == 1
    assert plan["choose"] == 2
    write_config(tuned, TUNED)
    assert planned(tuned) == {}


def test_no_trial_and_no_training_reads_a_test_image(tuned):
    """With the test split gone, Snakemake plans them all without making it again."""
    results = tuned / "results/cells"
    models = [run_of(tuned, name) / "model.safetensors" for name in ("probe", "lp_ft", "soup")]
    rules = [f"{do}_from_{what}" for do in ("try", "train") for what in ("features", "images")]
    targets = [str(model.relative_to(tuned)) for model in models]
    with gone(results / "splits/0/test.csv"), gone(results / "features/test"):
        plan = planned(tuned, *targets, "--forcerun", *rules, "choose", "mix")
        assert set(plan) == {*rules, "choose", "mix"}
        assert planned(tuned, "--forcerun", "evaluate")["split"] == 1, "evaluation does need it"


@contextlib.contextmanager
def gone(path: Path) -> Iterator[None]:
    hidden = path.rename(path.with_name("hidden"))
    try:
        yield
    finally:
        hidden.rename(path)
