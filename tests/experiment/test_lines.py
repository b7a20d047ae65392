"""Lines: the place of the key that a message begins with, wherever its value comes from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headstart import cli
from headstart.experiment import loading
from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError

ROOT = Path(__file__).parents[2]
TEXT = """\
experiment: tiny  # 1
dataset:
  source: folder

  path: images  # 5
  table:
    part: {column: a,
           values: {1: train, true: val}}  # 8
base: &base
  init: pretrained  # 10
  training: {gpus: 4}
strategies:
  full:
    <<: *base
    phases:  # 15
      - train: all
        lr: 1
      -
        lr: 2  # 19
  merged: {<<: [*base, {init: random, phases: [{lr: 1}]}], training: {}}
  same: *base
a.b: {c d: 1,
  "it's": 2}
a: {b: 3}  # 24
"": {"": 4}
lr: 1
lr: 2  # 27
lr_x: 3
[1, 2]: 4
0x10: 5  # 30
"""


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(TEXT)
    return Path("mine.yaml")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("dataset.path: nowhere does not exist", 5),
        ("dataset.path nowhere: lists no images", 5),
        ("dataset.table.part.values.1 is 'train'", 8),
        ("dataset.table.part.values.True is 'val'", 8),
        ("dataset.table.part.column: no column 'a'", 7),
        ("dataset.split.test and dataset.path: class 'a' has 1 image", 2),
        ("strategies.full.phases[0].lr is 1", 17),
        ("strategies.full.phases[1].lr is 2", 19),
        ("strategies.full.phases[1].epochs is missing", 19),
        ("strategies.full.phases[2].lr is 2", 15),
        ("strategies.full.phases[0] is 1", 16),
        ("strategies.full.init is 'pretrained'", 10),
        ("strategies.full.training.gpus is 4", 11),
        ("strategies.merged.init is 'pretrained'", 10),
        ("strategies.merged.phases[0].lr is 1", 20),
        ("strategies.merged.training.gpus is 1", 20),
        ("strategies.same is 'x'", 21),
        ("strategies.same.init is 'x'", 10),
        ("strategies.other.init is missing", 12),
        ("a.b is not a known key", 22),
        ("a.b.c d is not a known key", 22),
        ("a.b.it's is not a known key", 23),
        ("a is not a known key", 24),
        (" is not a known key", 25),
        ("lr is 2", 27),
        ("lr_x is 3", 28),
        ("16 is not a known key", 30),
        ("seeds is []", None),
        ("data is missing", None),
        ("the file is 3", None),
    ],
)
def test_a_message_is_led_by_the_line_of_its_key(file, message, line):
    place = f"mine.yaml:{line}" if line else "mine.yaml"
    assert Origin((file,)).located(message) == f"{place}: {message}"


@pytest.mark.parametrize("content", [None, b"", b"seeds\n", b"- 1\n", b"seeds: [", b"seeds: \xff"])
def test_a_file_without_keys_is_named_without_a_line(tmp_path, content):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    assert Origin((path,)).located("seeds is 1") == f"{path}: seeds is 1"


def test_json_has_lines_too(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{\n  "image": {\n    "size": 8\n  }\n}\n')
    assert Origin((path,)).located("image.size is 8") == f"{path}:3: image.size is 8"


def test_without_a_file_there_is_no_line():
    assert Origin().located("seeds is []") == "config: seeds is []"


def test_a_file_is_named_from_the_working_directory(file, tmp_path):
    for given in (file, str(file), file.absolute()):
        assert Origin((given,)).located("lr is 2").startswith("mine.yaml:27: ")
    Path("below").mkdir()
    os.chdir("below")
    assert Origin((tmp_path / file,)).located("lr is 2").startswith(f"{tmp_path / file}:27: ")
    assert Origin(("../mine.yaml",)).located("lr is 2").startswith("../mine.yaml:27: ")


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("strategies.full.phases[0].lr is 0", "mine.yaml with --config"),
        ("strategies.full.phases[0].epochs is missing", "mine.yaml with --config"),
        ("strategies.full.phases[1].lr is 0", "mine.yaml with --config"),
        ("strategies.full.init is 'x'", "mine.yaml:10"),
        ("dataset.path: nowhere does not exist", "mine.yaml:5"),
        ("dataset.table.part is None", "mine.yaml with --config"),
        ("dataset.split.val is 0", "mine.yaml with --config"),
        ("seeds[0] is -1", "mine.yaml with --config"),
        ("image.size is 8", "mine.yaml"),
    ],
)
def test_no_line_is_blamed_for_what_the_command_line_set(file, message, place):
    over = {
        "strategies": {"full": {"phases": [{"lr": 0}]}},
        "dataset": {"table": None, "split": {"test": 0.1}},
        "seeds": [-1],
    }
    assert Origin((file,), over).located(message) == f"{place}: {message}"


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("dataset.path: nowhere does not exist", "mine.yaml:5"),
        ("dataset.source is 'web'", "over.yaml:2"),
        ("strategies.full.phases[0].lr is 0", "over.yaml:5"),
        ("strategies.full.phases[1].lr is 0", "over.yaml:5"),
        ("seeds is []", "over.yaml"),
        ("image.size is 8", "over.yaml with --config"),
    ],
)
def test_of_several_files_the_last_with_the_key_is_blamed(file, message, place):
    Path("over.yaml").write_text(
        "dataset:\n  source: web\nstrategies:\n  full:\n    phases: [{lr: 0}]\n"
    )
    origin = Origin((file, "over.yaml"), {"image": {"size": 8}})
    assert origin.located(message) == f"{place}: {message}"


def test_every_kind_of_mistake_has_its_line(file):
    def error(text: str) -> str:
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            loading.load(file)
        return str(caught.value)

    good = (
        "experiment: mine\ndataset: {source: folder, path: photos}\nimage: {size: 160}\n"
        "strategies:\n  full:\n    init: pretrained\n    phases:\n"
        "      - {train: all, epochs: 6, start_size: 96, lr: 1.0e-3}\n"
    )
    assert error(good.replace("size: 160", "size: 8")).startswith("mine.yaml:3: image.size")
    assert error(good.replace("image: {", "imgae: {")).startswith("mine.yaml:3: imgae is")
    rule = error(good.replace("size: 160", "size: 80"))
    assert rule.startswith("mine.yaml:8: strategies.full.phases[0].start_size is 96")
    assert error(good.replace("image: {", "image: }")).startswith("mine.yaml:3: not valid")
    assert error("report: {}\n").startswith("mine.yaml: ")


@pytest.mark.parametrize(
    ("text", "overrides", "place"),
    [
        ("{source: folder,\n  path: nowhere}", [], "mine.yaml:3: dataset.path: "),
        (
            "{source: folder, path: nowhere}",
            ["seeds=[-1]"],
            "mine.yaml with --config: seeds[0] is -1",
        ),
    ],
)
def test_check_and_snakemake_say_the_same(file, capsys, text, overrides, place):
    for name in ("Snakefile", "workflow"):
        Path(name).symlink_to(ROOT / name)
    phases = "[{train: all, epochs: 1, lr: 0.1}]"
    strategies = f"{{full: {{init: pretrained, phases: {phases}}}}}"
    file.write_text(f"experiment: tiny\ndataset: {text}\nstrategies: {strategies}\n")
    given = ["--config", *overrides] if overrides else []
    assert cli.main(["check", str(file), *given]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {place}") and told.count("\n") == 1
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    done = subprocess.run(
        [*command, "--configfile", str(file), *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.endswith(told)
