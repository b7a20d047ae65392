"""A finished small project for all tests of the workflow, and copies of it to change."""

import shutil
from pathlib import Path

import pytest
from small_project import CONFIG, GPUS, LIMIT, TUNED, check_out, snakemake, write_config


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished experiment on ELPV cells as JPEGs, three broken files planted."""
    project = tmp_path_factory.mktemp("project")
    check_out(project)
    write_config(project, CONFIG)
    done = snakemake(project, *LIMIT, **GPUS)
    assert done.returncode == 0, done.stderr
    (project / "terminal.txt").write_text(done.stderr)
    return project


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment with trials and derived strategies."""
    tuned = tmp_path_factory.mktemp("tuned")
    check_out(tuned)
    write_config(tuned, TUNED)
    done = snakemake(tuned)
    assert done.returncode == 0, done.stderr
    return tuned


@pytest.fixture
def changed(project: Path, tmp_path: Path) -> Path:
    """A copy of the finished project to change."""
    return Path(shutil.copytree(project, tmp_path / "copy"))
