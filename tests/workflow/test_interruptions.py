"""A killed training goes on, and ends with the same bits."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from small_project import CONFIG, FULL, snakemake, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


def killed_after_an_epoch(project: Path) -> None:
    """Start the training of `full` and kill its process with SIGKILL after its first epoch."""
    command = [sys.executable, "-m", "snakemake", "--cores", "4", str(FULL / "model.safetensors")]
    running = subprocess.Popen(
        [*command, "--configfile", "experiment.yaml"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    )
    resume = project / "results/cells/resume/full_fraction-1.0_split-0_seed-0.pt"
    deadline = time.monotonic() + 120
    while not resume.exists():
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pattern = f"{project}/.snakemake/scripts/.*train.py"
    pids = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
    for pid in pids.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert resume.exists() and not (project / FULL / "model.safetensors").exists()
    query = "SELECT status FROM runs WHERE name = 'cells'"
    with closing(sqlite3.connect(project / "results/mlflow/mlflow.db")) as connection:
        assert connection.execute(query).fetchall() == [("FAILED",)]


def test_a_killed_training_goes_on_and_ends_the_same(project: Path, tmp_path: Path) -> None:
    config = json.loads(json.dumps(CONFIG))
    config["strategies"]["full"]["phases"][0]["epochs"] = 8
    results = []
    for name in ("killed", "whole"):
        copy = Path(shutil.copytree(project, tmp_path / name))
        write_config(copy, config)
        if name == "killed":
            killed_after_an_epoch(copy)
        done = snakemake(copy, str(FULL / "model.safetensors"))
        assert done.returncode == 0, done.stderr
        assert ("going on after epoch" in done.stderr) == (name == "killed")
        history = pd.read_csv(copy / FULL / "history.csv")
        timeless = history.drop(columns=["seconds", "images_per_second"])
        results.append(((copy / FULL / "model.safetensors").read_bytes(), timeless))
        assert not list((copy / "results/cells/resume").iterdir())
    (killed_model, killed_history), (model, history) = results
    assert killed_model == model
    pd.testing.assert_frame_equal(killed_history, history)
