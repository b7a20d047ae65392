"""headstart predict on pictures of which some cannot be read: the others are classified."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headstart import cli


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two good pictures and three broken ones, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("mixed")
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise).save(folder / "c.jpg")
    (folder / "b.jpg").write_bytes(b"no picture")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:3000])
    (folder / "e.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    return folder


def predict(*arguments: str | Path) -> int:
    return cli.main(["predict", "--pretrained", "--top", "1", *map(str, arguments)])


def test_what_can_be_read_is_classified_and_the_rest_is_named(mixed, capsys):
    assert predict(mixed) == 1
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert lines[::2] == ["mixed/a.png", "mixed/c.jpg"] and len(lines) == 4
    assert errors.splitlines()[-3:] == [
        "error: mixed/b.jpg: not an image",
        "error: mixed/d.png: truncated",
        "error: mixed/e.heic: HEIC picture: convert it to JPEG or PNG",
    ]
    assert predict("mixed/a.png", "mixed/c.jpg") == 0
    assert capsys.readouterr().out == output


def test_json_and_plot_of_what_can_be_read(mixed, capsys):
    assert predict(mixed, "--json", "--plot", "out.png") == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in rows] == [
        f"mixed/{name}" for name in ("a.png", "b.jpg", "c.jpg", "d.png", "e.heic")
    ]
    assert [list(row)[1] for row in rows] == ["predictions", "error"] * 2 + ["error"]
    assert rows[3] == {"image": "mixed/d.png", "error": "truncated"}
    assert Path("out.png").is_file()


def test_nothing_can_be_read(mixed, capsys):
    assert predict("mixed/b.jpg", "--plot", "out.png") == 1
    output, errors = capsys.readouterr()
    assert output == "" and errors.splitlines()[-1] == "error: mixed/b.jpg: not an image"
    assert not Path("out.png").exists()
    assert predict("mixed/b.jpg", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [
        {"image": "mixed/b.jpg", "error": "not an image"}
    ]


def test_a_name_of_two_lines_is_told_in_one(mixed, capsys):
    (mixed / "b.jpg").rename("two\nlines.jpg")
    assert predict("two\nlines.jpg") == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("lines.jpg: not an image")
