"""A study in odd surroundings: its path, language, time zone, rights and clock do not matter."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from small_project import CONFIG, check_out, write_config

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("surroundings"), pytest.mark.faults]

PHASE = {"train": "head", "epochs": 1, "lr": 0.01}
SMALL = CONFIG | {"strategies": {"head_only": {"init": "pretrained", "phases": [PHASE]}}}
PATH = 'Müller\'s "solar" 电池 [1] $HOME; a&b'
DAY = 86_400


def run(project: Path, zone: str, *arguments: str) -> str:
    """What Snakemake says in the locale C, under umask 077, in a time zone."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [*(sys.executable, "-m", "snakemake", "--cores", "2", *arguments)]
        + ["--configfile", "experiment.yaml"],
        cwd=project,
        env=environment | {"LC_ALL": "C", "TZ": zone},
        umask=0o077,
        capture_output=True,
        timeout=900,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study at an odd path, on read-only images, some of them from the future."""
    project = tmp_path_factory.mktemp("odd") / PATH
    project.mkdir()
    check_out(project)
    images = project / "images"
    for number, path in enumerate(sorted(images.rglob("*.jpg"))):
        os.utime(path, (time.time() + DAY,) * 2 if number % 2 else (0, 0))
    shutil.move(images / "defective", images / "缺陷 d'été")
    for path in [*images.rglob("*"), images]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    write_config(project, SMALL)
    before = listing(images)
    run(project, "Pacific/Kiritimati")
    assert listing(images) == before, "a source is only read"
    return project


def listing(folder: Path) -> list[tuple[str, int, float]]:
    return [(str(p), p.stat().st_size, p.stat().st_mtime) for p in sorted(folder.rglob("*"))]


def test_a_study_comes_to_its_verdict(odd):
    results = odd / "results/cells"
    assert len(pd.read_csv(results / "comparison/runs.csv")) == 1
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "缺陷 d&#39;été" in page or "缺陷 d'été" in page
    made = [*results.rglob("*"), odd / "results/mlflow/mlflow.db"]
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []


def test_another_time_zone_and_a_clock_that_jumps_rerun_nothing(odd):
    assert "Nothing to be done" in run(odd, "Pacific/Pago_Pago", "--dry-run")
    for path in (odd / "results").rglob("*"):
        if path.is_file():
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + DAY * 10**9))
    assert "Nothing to be done" in run(odd, "UTC", "--dry-run")


def test_what_is_predicted_there_is_told(odd):
    environment = os.environ | {"LC_ALL": "C", "PYTHONPATH": str(odd / "workflow")}
    image = next((odd / "images/functional").glob("cell*.jpg"))
    done = subprocess.run(
        [sys.executable, "-m", "headstart.cli", "predict", image],
        cwd=odd,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "缺陷 d'été" in done.stdout.decode()
