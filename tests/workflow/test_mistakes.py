"""A wrong configuration stops in one line before any job."""

import re
from pathlib import Path

import pytest
from small_project import CONFIG, snakemake, write_config

from headstart import HeadstartError, cli
from headstart.experiment import loading

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataset": {"source": "folder", "path": "nowhere"}}, "nowhere"),
        ({"backbone": {"name": "resnet81"}}, "backbone.name is 'resnet81'"),
        ({"dataset": {**CONFIG["dataset"], "split": {"test": 1.2}}}, "dataset.split.test is 1.2"),
    ],
    ids=["folder", "backbone", "share"],
)
def test_a_wrong_config_stops_in_one_line_before_any_job(
    changed: Path, change: dict, told: str
) -> None:
    write_config(changed, CONFIG | change)
    done = snakemake(changed)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert re.match(r"error: experiment\.yaml:\d+: ", lines[-1]) and told in lines[-1]
    assert "Traceback" not in done.stderr and "Execute" not in done.stderr


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("htp://host:5000", "'htp://host:5000' names no MLflow store"),
        ("sqlite:///experiment.yaml", "the MLflow store experiment.yaml cannot be used"),
    ],
    ids=["kind", "junk"],
)
def test_a_store_of_no_use_stops_in_one_line_before_any_job(
    project: Path, uri: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    done = snakemake(project, MLFLOW_TRACKING_URI=uri)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"error: {told}")
    assert "Traceback" not in done.stderr and "Execute" not in done.stderr
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert cli.main(["check", "experiment.yaml"]) == 1
    assert capsys.readouterr().err == f"{last}\n"


def test_snakemake_says_of_an_unreadable_file_what_check_says(
    changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it reads the file itself, before any of the workflow's code."""
    monkeypatch.chdir(changed)
    good = Path("experiment.yaml").read_text()
    for wrong in ("seeds: [1\n", "seeds: [0]\nseeds: [1]\n", "a: &a {b: *a}\n", "a: 2024-13-13\n"):
        Path("experiment.yaml").write_text(good.replace("seeds:\n- 0\n", "") + wrong)
        with pytest.raises(HeadstartError) as told:
            loading.written("experiment.yaml")
        done = snakemake(changed)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"error: {told.value}"
        assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) < 4


def test_braces_in_the_path_are_told(changed: Path) -> None:
    """Snakemake takes them for wildcards, and fails somewhere else."""
    odd = changed.rename(changed.with_name("a {x}"))
    done = snakemake(odd)
    assert done.returncode == 1 and "rename the folder" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
