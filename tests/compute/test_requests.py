"""What jobs ask of a cluster follows the work, and grows with every attempt."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from headstart.compute import requests

PIXELS = 2624 * 80**2  # the default experiment: 2,624 images of 80 pixels, Lite0's 13.5 MB
WEIGHTS = 13.5


@pytest.fixture
def work(make_strategy) -> requests.Work:
    strategy = make_strategy({"train": "all", "epochs": 20, "lr": 0.1}, batch_size=32)
    return requests.training(strategy, 80, PIXELS, WEIGHTS)


def test_a_measured_training_fits(work):
    """1,451 MB and 3 minutes on a thread, of which half are spent waiting."""
    assert 1451 < requests.memory_mb(work, 1) < 6000
    assert 3 < requests.minutes(work, 0, 1, 1) < 120


def test_requests_follow_size_batch_backbone_images_and_length(make_strategy, work):
    def asked(size=80, images=2624, weights=WEIGHTS, batch=32, epochs=20):
        strategy = make_strategy({"train": "all", "epochs": epochs, "lr": 0.1}, batch_size=batch)
        larger = requests.training(strategy, size, images * size**2, weights)
        return requests.memory_mb(larger, 1), requests.minutes(larger, 0, 8, 1)

    memory, minutes = asked()
    for change in ({"size": 320}, {"batch": 512}, {"weights": 350}):
        assert asked(**change)[0] > memory
    for change in ({"size": 320}, {"images": 100_000}, {"weights": 350}, {"epochs": 200}):
        assert asked(**change)[1] > minutes
    assert asked(batch=512)[1] == minutes


def test_a_least_number_of_steps_counts(make_strategy):
    phase = {"train": "all", "epochs": 1, "lr": 0.1}
    works = [
        requests.training(make_strategy(phase | {"steps": steps}), 80, 100 * 80**2, WEIGHTS)
        for steps in (None, 300)
    ]
    assert works[1].pixels == 300 * 8 * 80**2 > works[0].pixels == 100 * 80**2


def test_an_attempt_doubles_until_a_day(work):
    memory = [requests.memory_mb(work, attempt) for attempt in (1, 2, 3)]
    assert memory == [memory[0], 2 * memory[0], 4 * memory[0]]
    minutes = [requests.minutes(work, 1, 8, attempt) for attempt in (1, 2, 3)]
    assert minutes == [minutes[0], 2 * minutes[0], 4 * minutes[0]]
    assert requests.minutes(replace(work, pixels=1e15), 1, 8, 1) == 24 * 60
    assert requests.decoding_minutes(2_000_000, 2) == 2 * requests.decoding_minutes(2_000_000, 1)


def test_a_gpu_asks_for_less_time_than_threads(work):
    long = replace(work, pixels=100 * work.pixels)
    assert requests.minutes(long, 1, 8, 1) < requests.minutes(long, 0, 8, 1)


@pytest.mark.parametrize(
    ("cores", "gpus", "threads"),
    [(1, None, 1), (2, None, 1), (16, 0, 8), (6, None, 3), (16, 4, 4), (64, 2, 8), (None, 8, 8)],
)
def test_threads_follow_the_machine_alone(cores, gpus, threads):
    assert requests.threads(cores, gpus) == threads


def test_jobs_take_the_threads_of_the_process_that_planned_them(monkeypatch):
    monkeypatch.setenv("HEADSTART_THREADS", "")
    monkeypatch.delenv("HEADSTART_THREADS")
    assert requests.shared_threads(4, None) == 2
    assert requests.shared_threads(64, 1) == 2


@pytest.mark.parametrize(
    ("answer", "nodes"),
    [
        ("4 (null)\n32 gpu:a100:4", requests.Nodes(32, True)),
        ("4 (null)", requests.Nodes(4, False)),
        ("", requests.Nodes(None, True)),
    ],
)
def test_slurm_is_asked_what_its_nodes_have(tmp_path: Path, monkeypatch, answer, nodes):
    sinfo = tmp_path / "sinfo"
    sinfo.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert requests.slurm_nodes() == nodes
