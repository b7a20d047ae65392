"""Further test sets: known classes only, and no image that models may have been trained on."""

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import preflight
from headstart.data import cache, further, manifest, sources
from headstart.experiment import config, loading
from headstart.experiment.lines import Origin

ROOT = Path(__file__).parents[2]
HEAD = {"h": {"init": "pretrained", "phases": [{"train": "head", "epochs": 1, "lr": 0.1}]}}
HOME = [f"home/{label}/{number}.png" for label in ("cat", "dog") for number in range(20)]


@pytest.fixture
def checked(tmp_path, fill, monkeypatch):
    """What the check before any job says of an experiment on cats and dogs with further sets."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, *HOME)

    def check(**rest: object) -> None:
        raw = {"experiment": "e", "dataset": {"source": "folder", "path": "home"}}
        raw |= {"strategies": HEAD, **rest}
        preflight.check(loading.from_dict(raw), Origin(("e.yaml",)))

    return check


def test_a_set_is_a_path_or_a_dataset():
    table = {"file": "t.csv", "image": "{id}.jpg", "label": "kind"}
    tests = {"near": "there", "far": {"source": "csv", "path": "far", "table": table}}
    raw = {"experiment": "e", "dataset": {"source": "folder", "path": "home"}, "tests": tests}
    found = loading.from_dict(raw).tests
    assert found["near"] == config.Dataset("folder", path="there")
    assert found["far"].source == "csv" and found["far"].table.separator == "comma"
    assert raw["tests"]["near"] == "there", "the caller's dictionary stays as it is"


def test_the_check_takes_one_class_of_those_known(tmp_path, fill, checked):
    fill(tmp_path, "field/cat/1.png")
    checked(tests={"field": "field"})
    (tmp_path / "field/t.csv").write_text("id,kind,part\n1,cat,1\n")
    part = {"column": "part", "values": {"1": "test"}}
    table = {"file": "t.csv", "image": "cat/{id}.png", "label": "kind", "part": part}
    checked(tests={"field": {"source": "csv", "path": "field", "table": table}})


@pytest.mark.parametrize(
    ("tests", "rest", "told"),
    [
        ({"field": "nowhere"}, {}, "tests.field.path: nowhere does not exist"),
        ({"field": {"source": "folder"}}, {}, "tests.field.path is missing"),
        ({"field": {"source": "archive", "address": "a.zip"}}, {}, "tests.field.source is 'arch"),
        ({"field": {"source": "folder", "path": "field", "split": {}}}, {}, "tests.field.split is"),
        ({"field": 3}, {}, "tests.field is 3"),
        ({"Field": "field"}, {}, "Field"),
        ({"field": "birds"}, {}, "tests.field has 'bird', which no model knows"),
        ({"field": "field"}, {"verdict": {"metric": "roc_auc"}}, "has no image of 'dog'"),
    ],
)
def test_a_mistake_is_one_line_before_any_job(tmp_path, fill, checked, mistake, tests, rest, told):
    fill(tmp_path, "field/cat/1.png", "birds/cat/1.png", "birds/bird/1.png")
    assert told in mistake(lambda: checked(tests=tests, **rest))


def picture(path: Path, seed: int, kind: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 200, (8, 8)).astype(kind)
    Image.fromarray(pixels).save(path)
    return path


def admit(root: Path, metric: str = "accuracy") -> Path:
    """Run the step on root/field beside root/home, in whose folder its files lie."""
    for name in ("home", "field"):
        found = sources.survey(config.Dataset("folder", path=str(root / name)), trains=False)
        found.table.to_csv(root / f"{name}.csv", index=False)
    manifest.build(pd.read_csv(root / "home.csv", dtype=str, keep_default_na=False)).to_csv(
        root / "home_manifest.csv", index=False
    )
    (root / "classes.json").write_text(json.dumps(["cat", "dog"]))
    (root / "source_notes.txt").write_text("a note\n")
    step = runpy.run_path(str(ROOT / "workflow/scripts/admit.py"))
    names = ("field.csv", "source_notes.txt", "home_manifest.csv", "classes.json")
    files = step["Files"](*(root / n for n in (*names, "manifest.csv", "test.csv", "notes.txt")))
    step["main"](files, "field", metric, 1)
    return root


def test_an_image_of_the_experiment_is_left_out_and_counted(tmp_path):
    for number, label in enumerate(["cat", "dog"]):
        picture(tmp_path / "home" / label / "1.png", number)
    for number in range(4):
        picture(tmp_path / f"field/dog/{number}.png", number)
    (tmp_path / "field/dog/torn.png").write_bytes(b"no image")
    admit(tmp_path)
    test = pd.read_csv(tmp_path / "test.csv")
    assert list(test.id) == ["dog/2.png", "dog/3.png"] and set(test.split) == {"test"}
    table = manifest.read(tmp_path / "manifest.csv").set_index("id")
    assert list(table.index[table.status == further.AT_HOME]) == ["dog/0.png", "dog/1.png"]
    notes = (tmp_path / "notes.txt").read_text().splitlines()
    assert notes[0] == "a note" and "3 left out" in notes
    assert any(f"{further.AT_HOME}: 2" in note for note in notes)


@pytest.mark.parametrize(
    ("seeds", "told"),
    [((3, 4), "'bird', which no model knows"), ((1, 3), "has 1 to test on, but needs two")],
)
def test_what_cannot_be_compared_stops_in_one_line(tmp_path, mistake, seeds, told):
    picture(tmp_path / "home/cat/1.png", 1)
    picture(tmp_path / "home/dog/1.png", 2)
    for seed in seeds:
        picture(tmp_path / f"field/bird/{seed}.png", seed)
    assert told in mistake(admit, tmp_path)


def test_deep_pictures_are_scaled_as_at_home(tmp_path):
    """16-bit pictures keep the range of the experiment's own, as models were trained on it."""
    picture(tmp_path / "home/cat/1.png", 1, np.uint16)
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "home/cat/2.png")
    picture(tmp_path / "home/dog/1.png", 2)
    picture(tmp_path / "field/cat/1.png", 3, np.uint16)
    picture(tmp_path / "field/cat/2.png", 4, np.uint16)
    admit(tmp_path)
    image = {"image": {"cache_size": 8, "interpolation": "bilinear"}}
    (tmp_path / "backbone.json").write_text(json.dumps(image))
    step = runpy.run_path(str(ROOT / "workflow/scripts/cache.py"))
    names = ("manifest.csv", "backbone.json", "images.bin", "index.csv", "home_manifest.csv")
    step["main"](step["Files"](*(tmp_path / name for name in names)), 1)
    cached = cache.ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")
    assert 30 < cached[0].max() < 60, "200 is dark where 1,000 is nearly white"
