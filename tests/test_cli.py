"""The headstart command: quick to help, and one line for every mistake."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from headstart import HeadstartError, cli, logs

ROOT = Path(__file__).parent.parent


def headstart(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headstart.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with Snakefile, workflow and a small image folder, like a checkout."""
    for name in ("Snakefile", "workflow", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(12):
            picture = Image.new("RGB", (20, 20), (number * 20, len(label) * 40, 0))
            picture.save(tmp_path / "images" / label / f"{number}.png")
    write(tmp_path)
    return tmp_path


def write(project: Path, **changes: object) -> None:
    phases = [{"train": "all", "epochs": 2, "lr": 0.001}]
    config = {
        "experiment": "tiny",
        "dataset": {"source": "folder", "path": "images", "split": {"test": 0.25, "val": 0.25}},
        "strategies": {"full": {"init": "pretrained", "phases": phases}},
    }
    (project / "tiny.yaml").write_text(yaml.safe_dump(config | changes))


def test_help_needs_no_torch(tmp_path):
    done = headstart("--help", cwd=tmp_path)
    assert done.returncode == 0 and "check" in done.stdout and "ui" in done.stdout
    code = (
        "import sys; from headstart import cli;"
        "print([m for m in ('torch', 'mlflow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_describes_a_good_experiment(project):
    done = headstart("check", "tiny.yaml", cwd=project)
    assert done.returncode == 0, done.stderr
    for part in ("tiny", "24 files in 2 classes", "tf_efficientnet_lite0", "3 runs", "full"):
        assert part in done.stdout
    assert "train_from_images" in done.stdout and "Traceback" not in done.stderr
    assert not (project / "results/tiny/manifest.csv").exists()


@pytest.mark.parametrize(
    ("changes", "line", "parts"),
    [
        ({"seeds": [0, 0]}, "seeds:", ["seeds is [0, 0]"]),
        (
            {"backbone": {"name": "resnet_18"}},
            "name: resnet_18",
            ["backbone.name is 'resnet_18'", "resnet18"],
        ),
        (
            {"backbone": {"weights": "mine.pt"}},
            "weights: mine.pt",
            ["backbone.weights is 'mine.pt'", "not a file"],
        ),
        (
            {"backbone": {"name": "resnet18"}},
            "backbone:",
            ["backbone.weights is 'bundled'", "resnet18"],
        ),
        ({"dataset": {"source": "folder", "path": "nowhere"}}, "path: nowhere", ["nowhere"]),
        (
            {"dataset": {"source": "folder", "path": "images", "split": {"val": 0.001}}},
            "val: 0.001",
            ["dataset.split.val"],
        ),
    ],
)
def test_check_refuses_a_broken_experiment_in_one_line(
    project, monkeypatch, capsys, changes, line, parts
):
    """Which begins with the file and the line of what is wrong, or of what is around it."""
    monkeypatch.chdir(project)
    write(project, **changes)
    assert cli.main(["check", "tiny.yaml"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    place = re.match(r"error: tiny\.yaml:(\d+): ", captured.err)
    assert place is not None and captured.err.count("\n") == 1, captured.err
    assert Path("tiny.yaml").read_text().splitlines()[int(place[1]) - 1].strip() == line
    assert [part for part in parts if part not in captured.err] == [], captured.err


def test_check_of_a_missing_file_is_one_line_and_no_traceback(tmp_path):
    done = headstart("check", "nowhere.yaml", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: nowhere.yaml: cannot be read")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["chek"], ["check"], ["ui", "--port", "many"]])
def test_wrong_usage_has_status_2(arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


def test_ui_without_a_store_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ui"]) == 1
    error = capsys.readouterr().err
    assert "mlflow.db does not exist" in error and "headstart index" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---- the log of a job ------------------------------------------------------------------------


@pytest.fixture
def clean_logging():
    root, own = logging.getLogger(), logging.getLogger("headstart")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], root.level, own.level = before[0], before[1], before[2]
    logging.captureWarnings(False)


def test_a_users_mistake_is_one_line_in_the_log(tmp_path, clean_logging):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as caught, logs.job(log):
        raise HeadstartError("images: none there")
    assert caught.value.code == 1
    assert log.read_text().rstrip().endswith("error: images: none there")
    assert log.read_text().count("\n") == 1


def test_any_other_error_leaves_its_traceback_in_the_log(tmp_path, clean_logging, capsys):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit), logs.job(log):
        logging.getLogger("headstart.x").info("before")
        1 / 0  # noqa: B018
    text = log.read_text()
    assert "before" in text and "Traceback" in text and "ZeroDivisionError" in text
    assert "ZeroDivisionError" in capsys.readouterr().err
