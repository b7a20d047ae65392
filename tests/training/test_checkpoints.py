"""Checkpoints: written whole or not at all, used by their own run only, never in the way."""

import hashlib
import io
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from headstart.training.checkpoints import Progress, ResumeFile


def some_progress() -> Progress:
    return Progress(
        epoch=2,
        task={
            "model": {"w": torch.arange(3.0)},
            "optimizer": {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 0.1}]},
            "schedule": {"last_epoch": 8, "lr_lambdas": [None]},
        },
        best_epoch=1,
        best_score=(0.5, -1.0),
        best_model={"w": torch.ones(3)},
        history=[{"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 2.0}],
        mlflow_run_id="abc",
    )


def sealed(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


@pytest.fixture
def file(tmp_path) -> ResumeFile:
    return ResumeFile(tmp_path / "resume" / "full_fraction-0.5_seed-0.pt", "key")


def test_what_is_saved_comes_back(file):
    file.save(some_progress())
    made, wanted = file.load(), some_progress()
    for name in ("epoch", "best_epoch", "best_score", "history", "mlflow_run_id"):
        assert getattr(made, name) == getattr(wanted, name)
    assert made.task["schedule"] == wanted.task["schedule"]
    assert torch.equal(made.task["model"]["w"], wanted.task["model"]["w"])
    assert torch.equal(made.best_model["w"], wanted.best_model["w"])
    assert torch.equal(made.task["optimizer"]["state"][0]["step"], torch.tensor(4.0))


def test_a_fresh_start_has_no_history(file):
    assert file.load() == Progress()
    assert not file.path.parent.exists()


def test_a_file_of_other_settings_is_ignored(file, caplog):
    file.save(some_progress())
    with caplog.at_level(logging.INFO):
        assert ResumeFile(file.path, "other").load() == Progress()
    assert "made with other settings" in caplog.text


def test_files_of_one_folder_do_not_meet(tmp_path):
    """0.25 and 0.5 differ only behind a dot, where with_suffix cuts."""
    files = [ResumeFile(tmp_path / f"full_fraction-0.{f}_seed-0.pt", "key") for f in (25, 5)]
    for epoch, file in enumerate(files, 1):
        file.save(Progress(epoch=epoch))
    assert [file.load().epoch for file in files] == [1, 2]


def test_a_failing_write_leaves_the_old_file(file, monkeypatch):
    file.save(some_progress())

    def full_disk(path: Path, data: bytes) -> None:
        with path.open("wb") as out:
            out.write(data[: len(data) // 2])
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space"):
            file.save(Progress(epoch=3))
    assert file.load().epoch == 2
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


def test_of_a_damaged_file_the_state_before_goes_on(file, caplog):
    """One bit, wherever it is, and the power cut between the two renames."""
    for epoch in (1, 2):
        file.save(replace(some_progress(), epoch=epoch))
    whole = file.path.read_bytes()
    for place in range(0, len(whole), len(whole) // 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.path.write_bytes(damaged)
        assert file.load().epoch == 1
    assert caplog.text.count("is broken") >= 60
    file.path.unlink()
    assert file.load().epoch == 1


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "text", "zeros", "no key", "old fields", "list"]
)
def test_a_broken_file_means_a_fresh_start(file, caplog, kind):
    """After a power cut, say. A crash here would come again on every rerun."""
    file.save(some_progress())
    whole = file.path.read_bytes()
    match kind:
        case "truncated":
            file.path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            file.path.write_bytes(b"")
        case "text":
            file.path.write_bytes(b"hello world, no checkpoint")
        case "zeros":
            file.path.write_bytes(bytes(len(whole)))
        case "no key":
            file.path.write_bytes(sealed({"epoch": 1}))
        case "old fields":
            file.path.write_bytes(sealed({"key": "key", "epochs": 1}))
        case "list":
            file.path.write_bytes(sealed([1, 2]))
    with caplog.at_level(logging.INFO):
        assert file.load() == Progress()
    assert f"{file.path} is broken" in caplog.text and "not going on from it" in caplog.text
    assert "\n" not in caplog.messages[-1]
    file.save(some_progress())
    assert file.load().epoch == 2


def test_removing_leaves_nothing_even_of_killed_attempts(file):
    file.save(some_progress())
    file.path.with_suffix(".99999.partial").write_bytes(b"half")
    file.remove()
    file.remove()
    assert os.listdir(file.path.parent) == []
