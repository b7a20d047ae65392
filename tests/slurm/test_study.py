"""A study on a pretended cluster: devices, retries, a resumed training, and one allocation.

Slurm, the executor and the profile are real. The node has two GPUs by name only, so trainings
compute on the CPU; there is no accounting.
"""

import copy
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import cluster as slurm
import pytest
from small_project import CONFIG, FULL, RUNS, check_out, write_config

pytestmark = pytest.mark.slurm

SECONDS = 1500  # on a busy machine; a fifth of it on a quiet one
ENVIRONMENT = {"HEADSTART_PRETENDED_GPUS": "1", "HEADSTART_THREADS": "1"}
# Scratch is given a minute at first, and the head, with its test, too little memory.
LIMITS = [
    "train_from_images:runtime=attempt**4 if wildcards.strategy == 'scratch' else 60",
    "train_from_features:mem_mb=400 * attempt**3",
    "evaluate:mem_mb=400 * attempt**3 if wildcards.strategy == 'head_only' else 3000",
    "train_from_images:scratch=$PWD/node",
]
OFTEN = ["--slurm-init-seconds-before-status-checks", "2"]  # looked at more often than usual
HEAD = "head_only_1.0_0_0_evaluate_train_from_features"
CPU_STAGES = {"rule_manifest", "rule_cache", "rule_health", "rule_evidence"}
LOCAL_STAGES = {"fetch", "backbone", "tracking_init", "split", "freeze", "compare", "report"}


@dataclass
class Watched:
    """What was seen of the cluster while the study ran."""

    project: Path
    output: str = ""
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    together: list[dict[str, str]] = field(default_factory=list)
    cancelled: str = ""

    def look(self) -> None:
        self.jobs |= {job["JobId"]: job for job in slurm.jobs()}
        training = {process["job"]: process for process in slurm.trainings()}
        if len(training) > len(self.together):
            self.together = list(training.values())
        for job, process in training.items():
            self._meddle(job, int(process["pid"]))

    def _meddle(self, job: str, pid: int) -> None:
        """Hold scratch's first training until its time is over; end the full one once."""
        known = self.jobs.get(job, {})
        name = known.get("Comment", "")
        if "scratch" in name and known["TimeLimit"] == "00:01:00":
            os.kill(pid, signal.SIGSTOP)
        saved = self.project / "results/cells/resume/full_fraction-1.0_split-0_seed-0.pt"
        if "full" in name and not self.cancelled and saved.exists():
            subprocess.run(["scancel", job], check=True)
            self.cancelled = job

    def of(self, name: str) -> list[dict[str, str]]:
        """The jobs of a rule and its wildcards, in the order of their submission."""
        found = [job for job in self.jobs.values() if job.get("Comment", "").startswith(name)]
        return sorted(found, key=lambda job: int(job["JobId"]))


def snakemake(project: Path, *arguments: str, **environment: str) -> subprocess.Popen:
    log = (project / "snakemake.txt").open("w")
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--configfile", "experiment.yaml", *arguments],
        cwd=project,
        env=os.environ | ENVIRONMENT | environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=slurm.die_with_parent,
    )


@pytest.fixture(scope="module")
def study(cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The small study, run as the README says, disturbed and watched until it has ended."""
    project = tmp_path_factory.mktemp("study")
    check_out(project)
    config = copy.deepcopy(CONFIG)
    config["strategies"]["full"]["phases"][0]["epochs"] = 30
    write_config(project, config)
    watched = Watched(project)
    profile = ["--profile", "profiles/slurm", *OFTEN]
    running = snakemake(project, *profile, "--set-resources", *LIMITS)
    try:
        deadline = time.monotonic() + SECONDS
        while running.poll() is None and time.monotonic() < deadline:
            watched.look()
            time.sleep(0.2)
        watched.look()
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()
    watched.output = (project / "snakemake.txt").read_text()
    print(watched.output)
    return watched


def test_the_study_ends_with_its_verdict_without_accounting(study: Watched) -> None:
    accounting = subprocess.run(["sacct"], capture_output=True, check=False)
    assert accounting.returncode != 0
    assert (study.project / "results/cells/report.html").exists(), study.output
    assert "leads with" in study.output.splitlines()[-1] or "accuracy" in study.output


def test_two_trainings_held_different_devices_at_the_same_time(study: Watched) -> None:
    print("at the same time:", study.together)
    assert sorted(process["devices"] for process in study.together) == ["0", "1"]


def test_every_job_lies_on_one_node_and_cpu_stages_ask_for_no_gpu(study: Watched) -> None:
    asked = defaultdict(set)
    for job in study.jobs.values():
        assert job["NumNodes"] in ("1", "1-1"), job
        asked[re.sub("_wildcards.*", "", job["Comment"])].add(job.get("TresPerJob"))
    assert all(asked.pop(stage) == {None} for stage in CPU_STAGES)
    assert set(asked) >= {"rule_train_from_images", "rule_full_1.0_0_0_evaluate", "rule_features"}
    assert all(gpus == {"gres:gpu:1"} for gpus in asked.values()), asked


def test_stages_that_download_or_are_small_run_where_snakemake_does(study: Watched) -> None:
    submitted = {job["Comment"] for job in study.jobs.values()}
    assert not submitted & {f"rule_{stage}" for stage in LOCAL_STAGES}


def test_a_head_is_trained_and_tested_in_one_submission(study: Watched) -> None:
    submitted = {job["Comment"] for job in study.jobs.values()}
    assert {name for name in submitted if "head_only" in name} == {f"rule_{HEAD}"}
    assert (study.project / RUNS / "head_only/fraction-1.0/split-0/seed-0/metrics.json").exists()
    print("submissions:", len(study.jobs), sorted(submitted))


def test_a_job_over_its_time_is_tried_again_with_more(study: Watched) -> None:
    first, *_, last = study.of("rule_train_from_images_wildcards_scratch")
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "00:01:00")
    assert last["JobState"] == "COMPLETED" and last["TimeLimit"] > first["TimeLimit"]


def test_a_job_out_of_memory_is_tried_again_with_more(study: Watched) -> None:
    first, second = study.of(f"rule_{HEAD}")
    assert first["MinMemoryNode"] == "400M" and first["JobState"] != "COMPLETED"
    assert (second["MinMemoryNode"], second["JobState"]) == ("3200M", "COMPLETED")


def test_trainings_read_the_copy_that_their_node_made_once(study: Watched) -> None:
    logs = [path.read_text() for path in (study.project / "results/cells/logs/train").glob("*")]
    (copy,) = study.project.glob("node/headstart-*/*.bin")
    assert sum(f"reading {copy}, this node's copy" in log for log in logs) == 2
    assert copy.read_bytes() == (study.project / "results/cells/cache/images.bin").read_bytes()


def test_a_cancelled_training_goes_on_and_ends_the_same(study: Watched, tmp_path: Path) -> None:
    first, second = study.of("rule_train_from_images_wildcards_full")
    assert first["JobId"] == study.cancelled and first["JobState"] == "CANCELLED"
    log = study.project / "results/cells/logs/train/full_fraction-1.0_split-0_seed-0.log"
    print(log.read_text())
    assert "going on after epoch" in log.read_text()
    whole = Path(shutil.copytree(study.project, tmp_path / "whole"))
    done = snakemake(whole, "--cores", "1", "--force", str(FULL / "model.safetensors"))
    assert done.wait() == 0, (whole / "snakemake.txt").read_text()
    models = [project / FULL / "model.safetensors" for project in (study.project, whole)]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_the_threads_decided_on_reach_the_job(study: Watched) -> None:
    assert {job["NumCPUs"] for job in study.of("rule_train_from_images")} == {"1"}
    for log in (study.project / "results/cells/logs/train").glob("*.log"):
        assert ", 1 thread," in log.read_text()


def test_mlflow_has_every_run_once_and_no_write_ahead_log(study: Watched) -> None:
    query = """SELECT name.value FROM tags name JOIN tags old USING (run_uuid)
        WHERE name.key = 'headstart.run' AND old.key = 'headstart.superseded'
        AND old.value = 'false'"""
    with closing(sqlite3.connect(study.project / "results/mlflow/mlflow.db")) as store:
        names = sorted(name for (name,) in store.execute(query))
        (mode,) = store.execute("PRAGMA journal_mode").fetchone()
    assert len(names) == len(set(names)) == 3, names
    assert mode == "delete"


def test_in_one_allocation_snakemake_divides_the_gpus_itself(
    study: Watched, tmp_path: Path
) -> None:
    """As docs/scaling.md has it: one sbatch, whose command is `snakemake --resources gpu=2`."""
    project = study.project
    config = copy.deepcopy(CONFIG)
    config["seeds"] = [0, 1]
    write_config(project, config)
    models = [FULL.with_name(f"seed-{seed}") / "model.safetensors" for seed in (0, 1)]
    targets = " ".join(map(str, models))  # before --configfile, which takes several
    inner = f"{sys.executable} -m snakemake {targets} --cores 2 --resources gpu=2"
    inner += " --configfile experiment.yaml"
    command = ["sbatch", "--wait", "--nodes=1", "--gpus=2", "--cpus-per-task=2", "--mem=8000"]
    done = subprocess.run(
        [*command, "--output=one.txt", "--wrap", inner],
        cwd=project,
        env=os.environ | ENVIRONMENT | {"TMPDIR": str(tmp_path)},  # locks of its own
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (project / "one.txt").read_text()
    logs = [
        project / f"results/cells/logs/train/full_fraction-1.0_split-0_seed-{seed}.log"
        for seed in (0, 1)
    ]
    leased = [re.search("leased GPU (.*)", log.read_text()) for log in logs]
    assert sorted(match[1] for match in leased if match) == ["0", "1"]


def test_a_cluster_without_gpus_is_asked_for_none(study: Watched, tmp_path: Path) -> None:
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho '16 (null)'\n")
    sinfo.chmod(0o755)
    last = max(int(job["JobId"]) for job in slurm.jobs())
    running = snakemake(
        study.project,
        *("--profile", "profiles/slurm", "--force", str(FULL / "model.safetensors")),
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
    )
    try:
        new: list[dict[str, str]] = []
        while not new and running.poll() is None:
            time.sleep(0.5)
            new = [job for job in slurm.jobs() if int(job["JobId"]) > last]
        assert new, (study.project / "snakemake.txt").read_text()
        assert new[0]["Comment"].startswith("rule_train_from_images")
        assert "TresPerJob" not in new[0]
    finally:
        running.kill()
        running.wait()
