"""`headstart init`: what it writes reads the images as they lie there, and passes the checks."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart import HeadstartError, preflight, proposal
from headstart.data import sources
from headstart.experiment import config, loading
from headstart.experiment.lines import Origin

SHARED = Path(__file__).parents[2] / "shared/data"


def draw(folder: Path, counts: dict[str, int], ending: str = "jpg", side: int = 48) -> None:
    rng = np.random.default_rng(0)
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            pixels = rng.integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{k:03d}.{ending}")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def proposed(source: str) -> tuple[str, config.Experiment]:
    """The text of the file that is written for a source, and the experiment it loads as."""
    path, _ = proposal.write(source, None, Path("results/downloads"))
    return path.read_text(), loading.load(path)


def test_class_folders(here: Path) -> None:
    draw(here / "My Pets", {"cat": 20, "dog": 70})
    text, experiment = proposed("My Pets")
    assert Path("my-pets.yaml").is_file() and experiment.experiment == "my-pets"
    assert '#   "cat": 20' in text and "Shorter side 48 pixels" in text
    assert experiment.training.sampling == "balanced" and experiment.image.size == 96
    assert list(experiment.strategies) == ["head_only", "full", "scratch"]
    assert experiment.seeds == (0, 1, 2)
    survey = preflight.check(experiment, Origin(("my-pets.yaml",)))
    assert survey is not None and len(survey.table) == 90


def test_part_folders_are_told(here: Path) -> None:
    draw(here / "set/Training", {"a": 20, "b": 20})
    draw(here / "set/Testing", {"a": 10, "b": 10})
    text, experiment = proposed("set")
    assert '# Part "Training": 40 images.' in text and experiment.training.sampling == "uniform"
    table = sources.list_images(experiment.dataset)
    assert set(table.label) == {"a", "b"}


@pytest.mark.parametrize(
    ("ending", "mask", "pattern"),
    [("jpg", "{}.png", "*.png"), ("png", "{}_mask.png", "*_mask.png")],
)
def test_masks_beside_images_are_left_out(here: Path, ending: str, mask: str, pattern: str) -> None:
    draw(here / "scans", {"benign": 12, "malignant": 12}, ending)
    for image in list((here / "scans").glob("*/*")):
        Image.new("L", (8, 8)).save(image.with_name(mask.format(image.stem)))
    _, experiment = proposed("scans")
    assert experiment.dataset.exclude == (pattern,)
    table = sources.list_images(experiment.dataset)
    assert len(table) == 24 and not table.id.str.contains("mask").any()


@pytest.mark.parametrize("header", [True, False])
def test_a_table_of_labels(here: Path, header: bool) -> None:
    draw(here / "set", {"photos": 30})
    rows = pd.DataFrame({"id": [f"{k:03d}" for k in range(30)], "breed": ["a", "b", "c"] * 10})
    rows.insert(1, "split", "all")
    rows.to_csv(here / "set/labels.csv", index=False, header=header)
    _, experiment = proposed("set")
    table = experiment.dataset.table
    assert table is not None and table.file == "labels.csv"
    assert table.image == ("photos/{id}.jpg" if header else "photos/{column1}.jpg")
    assert table.label == ("breed" if header else "column3")
    assert set(sources.list_images(experiment.dataset).label) == {"a", "b", "c"}


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_a_table_in_another_encoding_and_with_semicolons(here: Path, encoding: str) -> None:
    draw(here / "set", {"photos": 12})
    rows = [f"{k:03d};{'Käse' if k % 2 else 'Brot'}" for k in range(12)]
    (here / "set/labels.csv").write_text("\n".join(["id;class", *rows]), encoding)
    _, experiment = proposed("set")
    assert set(sources.list_images(experiment.dataset).label) == {"Käse", "Brot"}


def test_an_archive(here: Path) -> None:
    draw(here / "flowers", {"rose": 12, "tulip": 12})
    shutil.make_archive("flowers", "zip", here, "flowers")
    shutil.rmtree(here / "flowers")
    _, experiment = proposed("flowers.zip")
    assert experiment.dataset.source == "archive"
    assert len(sources.fetch(experiment.dataset, Path("results/downloads")).table) == 24


def test_a_file_is_not_written_over(here: Path) -> None:
    draw(here / "pets", {"cat": 12, "dog": 12})
    proposed("pets")
    with pytest.raises(HeadstartError, match="pets.yaml exists already"):
        proposed("pets")


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere", "does not exist"), ("notes.md", "is no folder"), ("empty", "has no class")],
)
def test_what_cannot_be_read_is_one_line(here: Path, source: str, words: str) -> None:
    (here / "notes.md").touch()
    (here / "empty").mkdir()
    with pytest.raises(HeadstartError, match=words) as error:
        proposal.write(source, None, Path("results/downloads"))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared image sets are not here")
@pytest.mark.parametrize("name", ["hotdog", "fruits30", "dogs", "cub10", "cifar10_6k"])
def test_real_sets_pass_the_checks_unchanged(here: Path, name: str) -> None:
    text, experiment = proposed(str(SHARED / f"{name}.zip"))
    assert experiment.experiment == name and " images in " in text
    preflight.check(experiment, Origin((f"{name}.yaml",)))
    table = sources.fetch(experiment.dataset, Path("results/downloads")).table
    expected = {"hotdog": 2, "fruits30": 30, "dogs": 10, "cub10": 10, "cifar10_6k": 10}
    assert table.label.nunique() == expected[name]
