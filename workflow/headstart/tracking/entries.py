"""What MLflow is told of results, read from the files that jobs leave.

Jobs call this when their files are there, and `headstart index` long after.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import provenance
from headstart.tracking import mlflow_pages
from headstart.tracking.runlog import RunLog

Tracking = dict[str, str]


def described(run: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings and the tags of a run, from its run.json; a job gives the same."""
    if kind := run.get("derived"):
        return {"derived": kind}, _place(run) | {"derived": kind}
    settings = run["settings"] | {"fraction": run["fraction"], "seed": run["seed"]}
    named = ("config_hash", "split_hash", "git_commit", "device")
    return settings, _place(run) | {name: run[name] for name in named}


def name(run: dict[str, Any]) -> provenance.RunName:
    """Which run a run.json is of."""
    return provenance.RunName(
        run["experiment"], run["strategy"], run["fraction"], run["split"], run["seed"]
    )


def _place(run: dict[str, Any]) -> dict[str, str]:
    return provenance.place(name(run))


def trained(log: RunLog, run: Path, history: Path | None = None) -> None:
    """Log a run's files, its epochs that are not logged yet, and at last what it cost.

    A run that has its cost so has all that its training left. Of mixed weights nothing was trained:
    the share that was chosen takes the epochs' place.

    Args:
        run: the run.json.
        history: the history.csv, which an ensemble has none of.
    """
    made = json.loads(run.read_text())
    values = {
        "device_seconds": provenance.device_seconds(made),
        "trainable_parameters": made["trainable_parameters"],
    }
    if at_once := made.get("images_at_once"):
        values["images_at_once"] = at_once
    if history:
        rows = pd.read_csv(history)
        if made.get("derived"):
            values["share"] = rows.set_index("epoch").lr[made["best_epoch"]]
        else:
            log.epochs({str(k): v for k, v in row.items()} for row in rows.to_dict("records"))
    log.files(filter(None, [run, history]))
    log.metrics(values)


def tested(log: RunLog, metrics: Path) -> None:
    """Log what lies beside a metrics.json, predictions and figures, and at last its values."""
    log.files([metrics, metrics.with_name("predictions.parquet")])
    log.files(sorted(metrics.with_name("figures").iterdir()), "figures")
    scores = json.loads(metrics.read_text())["metrics"]
    log.metrics({f"test_{key}": score["value"] for key, score in scores.items()})


def chosen(tracking: Tracking, choice: Path) -> None:
    """Log the trials of a choice.json, below a run of their strategy."""
    content = json.loads(choice.read_text())
    key, place = tuning_key(content), content["place"]
    parent = RunLog.start(tracking, key, {}, place | {"headstart.kind": "tuning"})
    for number, trial in enumerate(content["trials"]):
        tags = place | {
            "headstart.kind": "trial",
            "trial": str(number),
            "mlflow.parentRunId": parent.run_id,
        }
        log = RunLog.start(tracking, f"{key}/trial-{number}", trial["tried"], tags)
        log.metrics({name: trial[name] for name in ("val_loss", "val_accuracy", "device_seconds")})
        log.end()
    parent.end()


def tuning_key(choice: dict[str, Any]) -> str:
    """The name of the run that a choice's trials stand below."""
    return "/".join(["tuning", *(f"{key}-{value}" for key, value in choice["place"].items())])


def compared(tracking: Tracking, folder: Path, colours: Mapping[str, str]) -> None:
    """Log a comparison to the experiment's parent run, and prepare the pages that show it.

    Each run gets its strategy's interval, whose mean over the runs is the interval again.

    Args:
        folder: holds verdict.json, runs.csv and summary.csv.
        colours: of each strategy, as #rrggbb.
    """
    log = RunLog.open(tracking, tracking["parent_run_id"])
    with log.ending():
        verdict = json.loads((folder / "verdict.json").read_text())
        log.describe(verdict["statement"])
        log.client.set_tag(log.run_id, mlflow_pages.METRIC, verdict["metric"])
        log.files(sorted(folder.iterdir()), "comparison")
        summary = pd.read_csv(folder / "summary.csv").set_index(["strategy", "fraction"])
        for run in pd.read_csv(folder / "runs.csv").itertuples():
            row = summary.loc[[(run.strategy, run.fraction)]].iloc[0]
            ends = {end: float(row[end]) for end in ("accuracy_low", "accuracy_high")}
            _place_among(tracking, str(run.mlflow_run_id), ends, colours[str(run.strategy)])
        mlflow_pages.publish(log.client, tracking["experiment_id"], tracking["project"])


def _place_among(tracking: Tracking, run_id: str, ends: dict[str, float], colour: str) -> None:
    """Give a run the ends of its strategy's interval, once, and its strategy's colour."""
    log = RunLog.find(tracking, run_id)
    if log is None:
        return  # purged by a person; its results are in the comparison all the same
    known = log.client.get_run(log.run_id).data.metrics
    log.metrics({name: value for name, value in ends.items() if known.get(name) != value})
    log.client.set_tag(log.run_id, "mlflow.runColor", colour)


def reported(tracking: Tracking, report: Path) -> None:
    """Log the report to the experiment's parent run."""
    log = RunLog.open(tracking, tracking["parent_run_id"])
    with log.ending():
        log.files([report])
