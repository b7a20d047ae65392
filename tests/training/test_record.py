"""The record of a run: its files say what it was, what made it and what it cost."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from small_training import TIMES, TRAINED, N, run_name

from headstart import provenance
from headstart.models import layers
from headstart.training import inputs, record
from headstart.training.checkpoints import Progress
from headstart.training.jobs import Job

HEAD = {"train": "head", "epochs": 2}


def row(epoch: int, phase: int, rate: float) -> dict[str, float]:
    columns = ["lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    row = {"epoch": epoch, "phase": phase} | dict.fromkeys(columns, 0.25)
    return row | {"images_per_second": rate, "seconds": 2.0 * epoch}


@pytest.fixture
def written(files, outputs, cpu, make_strategy):
    """run.json of a run of these phases, and what it was made from."""

    def written(*phases: dict, init: str = "pretrained", **changes):
        strategy = replace(make_strategy(*phases), init=init)
        name = run_name("any", 0.5, split=2, seed=3)
        given = inputs.read(Job(name, strategy, replace(files, **changes), outputs), cpu)
        history = [row(1, 0, 10.0), row(2, 0, 30.0), row(3, 1, 20.0)]
        kept = inputs.prepare(replace(given, job=replace(given.job, files=files)))[0].kept()
        progress = Progress(epoch=3, best_epoch=2, best_model=kept, history=history)
        progress.mlflow_run_id, progress.device_seconds = "abc", 3.5
        whole = inputs.whole_model(replace(given, job=replace(given.job, files=files)), progress)
        record.write(given, outputs, progress, whole)
        return json.loads(outputs.run.read_text()), given, progress, whole

    return written


def test_the_model_and_the_history_are_those_of_the_training(written, outputs):
    run, _, progress, whole = written({"epochs": 3})
    saved = load_file(outputs.model)
    assert saved.keys() == whole.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in whole.state_dict().items())
    table = pd.read_csv(outputs.history)
    assert table.to_dict("records") == progress.history
    assert table.epoch.dtype == table.phase.dtype == "int64" and set(table.columns) > TIMES
    assert (run["best_epoch"], run["mlflow_run_id"]) == (2, "abc")


def test_a_run_says_what_it_was_and_what_made_it(written, cpu):
    run, given, _, _ = written({"epochs": 3})
    name = {"experiment": "cells", "strategy": "any", "fraction": 0.5, "split": 2, "seed": 3}
    assert run.items() >= name.items()
    made = given.made_by
    assert run["settings"] == {"strategy": made["strategy"], "backbone": made["backbone"]}
    assert run["versions"] == made["versions"] and "torch" in run["versions"]
    assert run["config_hash"] == provenance.digest([made["strategy"], made["backbone"]])
    assert run["split_hash"] == given.split_hash
    assert (run["device"], run["precision"], run["threads"]) == (cpu.name, "fp32", 1)
    assert (run["n_train"], run["n_val"]) == (TRAINED // 2, N - TRAINED)


def test_weights_are_named_where_they_were_used(written):
    run, given, _, _ = written({"epochs": 3})
    assert (run["weights"], run["weights_sha256"]) == ("w", "0")
    run, _, _, _ = written({"epochs": 3}, init="random")
    assert (run["weights"], run["weights_sha256"]) == ("random", "")


def test_a_run_says_what_it_cost(written, tmp_path):
    (tmp_path / "pooled.json").write_text('{"seconds": 7.5, "device_seconds": 6.0}')
    (tmp_path / "choice.json").write_text('{"trials": [{}, {}], "device_seconds": 40.0}')
    files = {"features_meta": tmp_path / "pooled.json", "choice": tmp_path / "choice.json"}
    run, _, _, whole = written(HEAD, **files)
    head = whole.get_submodule(layers.head_name(whole))
    sizes = [sum(p.numel() for p in part.parameters()) for part in (head, whole)]
    assert [run["trainable_parameters"], run["parameters"]] == sizes and sizes[0] < sizes[1]
    assert (run["train_seconds"], run["images_per_second"]) == (12.0, 20.0)  # median
    assert (run["device_seconds"], run["feature_device_seconds"]) == (3.5, 6.0)
    assert (run["trials"], run["tuning_device_seconds"]) == (2, 40.0)
    assert run["feature_seconds"] == 7.5 and run["peak_memory_bytes"] > 0


def test_what_any_phase_trains_was_trained(written):
    head, _, _, _ = written(HEAD)
    both, _, _, _ = written(HEAD, {"epochs": 1})
    assert head["feature_seconds"] == 0
    assert head["trainable_parameters"] < both["trainable_parameters"] == both["parameters"]
    assert (head["epochs"], both["epochs"]) == (3, 3)  # rows of the history
