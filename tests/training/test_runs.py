"""Whole runs: the files they leave, on one device or several, and after an interruption."""

import json
import pickle
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file
from small_training import IMAGE, POLICY, TRAINED, Interrupted, N, run_name

from headstart import HeadstartError, prediction
from headstart.experiment import config
from headstart.models import backbones
from headstart.models.backbones import Prepared
from headstart.tracking import connection
from headstart.training import features, runs
from headstart.training.checkpoints import Progress, ResumeFile
from headstart.training.jobs import Job

NAME = run_name("full")


def test_two_processes_leave_one_run(files, outputs, make_strategy, tmp_path, monkeypatch):
    """On pretended GPUs: without real ones the processes compute on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    store = connection.prepare(tmp_path / "mlflow", "cells")
    files.tracking.write_text(json.dumps(store))
    strategy, log = make_strategy({"epochs": 2}, gpus=2), tmp_path / "log.txt"
    runs.train_on(["0", "1"], Job(NAME, strategy, files, outputs), threads=2, log_file=log)
    run = json.loads(outputs.run.read_text())
    assert run["device"].startswith("2 × ") and run["threads"] == 1
    assert pd.read_csv(outputs.history).epoch.tolist() == [1, 2]
    assert not outputs.resume.exists()
    assert log.read_text().count("epoch 2: loss") == 1
    logged = MlflowClient(store["uri"]).search_runs([store["experiment_id"]])
    names = {one.info.run_id: one.info.run_name for one in logged}
    assert len(names) == 2 and names[run["mlflow_run_id"]] == str(NAME)  # and the parent


def test_without_a_second_gpu_one_process_trains(
    files, outputs, make_strategy, tmp_path, fake_logs, caplog
):
    caplog.set_level("INFO")
    strategy = make_strategy({"epochs": 1}, gpus=2)
    job = Job(NAME, strategy, files, outputs)
    runs.train_on([], job, threads=1, log_file=tmp_path / "log.txt")
    assert "training.gpus is 2, leased are 0: training in one process" in caplog.text
    assert outputs.run.exists()


def test_an_interrupted_run_survives_the_loss_of_its_mlflow_run(
    files, outputs, make_strategy, fake_logs, monkeypatch
):
    """The resume file would otherwise name the lost run for ever, and no rerun could go on."""
    job = Job(NAME, make_strategy({"epochs": 3}), files, outputs)
    save = ResumeFile.save

    def dying(self: ResumeFile, progress: Progress) -> None:
        save(self, progress)
        if progress.epoch == 2:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(ResumeFile, "save", dying)
        runs.train(job, threads=1)
    assert outputs.resume.exists() and not outputs.run.exists()
    runs.train(job, threads=1)
    first, second = fake_logs
    assert (first.steps, second.steps) == ([1], [1, 2, 3])
    run = json.loads(outputs.run.read_text())
    assert run["mlflow_run_id"] == second.run_id
    assert run["n_train"] == 12 and run["trainable_parameters"] == run["parameters"]
    assert pd.read_csv(outputs.history).epoch.tolist() == [1, 2, 3]
    assert not outputs.resume.exists()


@pytest.mark.parametrize(
    ("name", "size", "kind"),
    [
        ("vit_tiny_patch16_224", 32, "lora"),
        ("vit_small_patch14_dinov2", 28, "biases_and_norms"),
        ("swin_tiny_patch4_window7_224", 32, "all"),
    ],
)
def test_a_transformer_trains_at_another_size_and_plain_timm_reads_it(
    files, outputs, make_strategy, fake_logs, tmp_path, name, size, kind
):
    torch.manual_seed(0)
    weights = tmp_path / "pretrained.safetensors"
    save_file(timm.create_model(name, num_classes=2).state_dict(), weights)
    image = config.Image(size, 1.0, None, None, None, None)
    backbone = config.Backbone(name, "timm", str(weights))
    backbones.prepare(backbone, image, files.backbone, files.weights)
    phase = {"train": kind, "rank": 2, "epochs": 2, "lr": 0.001}
    runs.train(Job(NAME, make_strategy(phase), files, outputs), threads=1)
    plain = timm.create_model(name, img_size=size, num_classes=2).eval()
    plain.load_state_dict(load_file(outputs.model))
    run = json.loads(outputs.run.read_text())
    loaded = prediction.load_model(run, 2, outputs.model)
    images = torch.ones(2, 3, size, size)
    with torch.inference_mode():
        assert torch.equal(loaded(images), plain(images))


def test_a_run_of_nearest_neighbours_leaves_a_model_that_evaluation_reads(
    files, outputs, make_strategy, tmp_path, cache, cpu
):
    files.tracking.write_text(json.dumps(connection.prepare(tmp_path / "mlflow", "cells")))
    backbone = Prepared.read(files.backbone, files.weights)
    pooled = tmp_path / "pooled.npy"
    features.extract(cache, backbone, [], 1, cpu, pooled)
    strategy = make_strategy({"train": "probe", "epochs": 0, "classifier": "knn"})
    job = Job(NAME, strategy, replace(files, features=pooled), outputs)
    runs.train(job, threads=1)
    run, history = json.loads(outputs.run.read_text()), pd.read_csv(outputs.history)
    assert history.lr.tolist() == [1, 3, 5, 10] and run["epochs"] == 4
    assert run["trainable_parameters"] == 0
    model = prediction.load_model(run, 2, outputs.model)
    classifier = prediction.Classifier(model, ["bright", "dark"], IMAGE, "cross_entropy")
    shares = prediction.probabilities(classifier, cache, cache.ids[TRAINED:], cpu)
    assert np.allclose(shares.sum(1), 1, atol=1e-5) and (shares > 0).all()
    best = history.val_accuracy[run["best_epoch"] - 1]
    assert (shares.argmax(1) == np.arange(N - TRAINED) % 2).mean() == best


@pytest.mark.parametrize("policy", ["batched", "per-image"])
def test_a_run_on_a_gpu_takes_the_fast_paths_that_it_has(
    files, outputs, make_strategy, fake_logs, caplog, gpu, policy
):
    """Whole batches where the images are resident; else workers stream them one by one."""
    caplog.set_level("INFO")
    strategy = make_strategy({"epochs": 12, "lr": 0.003}, precision="auto")
    augmented = [*POLICY, config.Transform("trivial_augment")] if policy == "per-image" else POLICY
    strategy = replace(strategy, augmentation=tuple(augmented))
    runs.train(Job(NAME, strategy, files, outputs), threads=2)
    where = "device-resident, batched" if policy == "batched" else "streamed, per-image"
    assert f"images: {where} augmentation" in caplog.text
    assert f"{gpu.name}, {gpu.precision}, channels_last" in caplog.text
    run, history = json.loads(outputs.run.read_text()), pd.read_csv(outputs.history)
    assert (run["device"], run["device_uuid"]) == (gpu.name, gpu.uuid)
    assert run["precision"] == gpu.precision and run["peak_memory_bytes"] > 0
    assert history.train_loss.iloc[-1] < history.train_loss.iloc[0]
    model = backbones.build(Prepared.read(files.backbone, files.weights), 2, 0, "random")
    model.load_state_dict(load_file(outputs.model))


ORPHAN = """
import pickle, sys, time
from headstart.training import runs, task
step = task.Task.step
task.Task.step = lambda *given: (time.sleep(0.2), step(*given))[1]
runs.train_on([], pickle.loads(open(sys.argv[1], "rb").read()), 1, sys.argv[2])
"""


def test_a_run_that_another_process_trains_is_waited_for_and_not_trained_twice(
    files, outputs, make_strategy, tmp_path, caplog
):
    """As an orphan of a killed Snakemake does, that goes on when the next one begins."""
    store = connection.prepare(tmp_path / "mlflow", "cells")
    files.tracking.write_text(json.dumps(store))
    outputs = replace(outputs, resume=tmp_path / "resume" / outputs.resume.name)
    job = Job(NAME, make_strategy({"epochs": 4}), files, outputs)
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    orphan = subprocess.Popen([sys.executable, "-c", ORPHAN, tmp_path / "job", tmp_path / "log"])
    deadline = time.monotonic() + 60
    while not outputs.resume.exists():
        assert orphan.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    caplog.set_level("INFO")
    runs.train_on([], job, threads=1, log_file=tmp_path / "log.txt")
    assert orphan.wait() == 0
    assert f"process {orphan.pid} on" in caplog.text and "waiting for it" in caplog.text
    assert "it is done" in caplog.text and "epoch" not in caplog.text
    assert [path.suffix for path in (tmp_path / "locks").iterdir()] == [".lock"]
    logged = MlflowClient(store["uri"]).search_runs([store["experiment_id"]])
    assert sorted(one.info.run_name for one in logged) == ["cells", str(NAME)]


def test_a_damaged_model_is_refused(files, outputs, make_strategy, fake_logs):
    """It would load: a bit of a weight is any other weight."""
    runs.train(Job(NAME, make_strategy({"epochs": 1}), files, outputs), threads=1)
    run = json.loads(outputs.run.read_text())
    prediction.load_model(run, 2, outputs.model)
    damaged = bytearray(outputs.model.read_bytes())
    damaged[-9] ^= 64
    outputs.model.write_bytes(damaged)
    load_file(outputs.model)
    with pytest.raises(HeadstartError, match=r"m.safetensors is damaged: .* run.json"):
        prediction.load_model(run, 2, outputs.model)
