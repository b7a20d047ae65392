"""headstart predict: the same numbers as evaluation, the right run, and errors in one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from PIL import Image
from safetensors.torch import load_file, save_file

from headstart import classification, cli, prediction, provenance, results
from headstart.data import manifest
from headstart.data.cache import ImageCache
from headstart.data.cache import build as build_cache
from headstart.experiment import config
from headstart.models import backbones
from headstart.models.backbones import Prepared
from headstart.report.figures import prediction as figures

CLASSES = ["リンゴ", "사과", "苹果"]
FLOWER = Path(sklearn.__file__).parent / "datasets/images/flower.jpg"
BACKBONE = config.Backbone("tf_efficientnet_lite0", "timm", "bundled")
SMALL = config.Image(32, 0.875, None, None, None, None)


def picture(seed: int, width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def add_run(
    experiment: Path,
    strategy: str,
    seed: int,
    val: list[tuple[float, float]],
    best_epoch: int,
    fraction: float = 1.0,
    loss: str = "cross_entropy",
) -> None:
    """A run folder that shares one model; `val` has (accuracy, loss) of each epoch."""
    folder = experiment / f"runs/{strategy}/fraction-{fraction}/split-0/seed-{seed}"
    folder.mkdir(parents=True)
    os.link(experiment / "model.safetensors", folder / "model.safetensors")
    description = json.loads((experiment / "backbone/config.json").read_text())
    settings = {"backbone": description, "strategy": {"training": {"loss": loss}}}
    name = {"strategy": strategy, "fraction": fraction, "split": 0, "seed": seed}
    made = name | {"best_epoch": best_epoch, "settings": settings}
    made |= {"model_sha256": provenance.file_hash(folder / "model.safetensors")}
    (folder / "run.json").write_text(json.dumps(made))
    history = pd.DataFrame(val, columns=["val_accuracy", "val_loss"])
    history.insert(0, "epoch", range(1, len(val) + 1))
    history.to_csv(folder / "history.csv", index=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with results/tiny, finished, and results/begun, not finished."""
    root = tmp_path_factory.mktemp("home")
    for name in ("tiny", "begun"):
        (root / "results" / name / "backbone").mkdir(parents=True)
        (root / "results" / name / "classes.json").write_text(json.dumps(CLASSES))
    tiny = root / "results/tiny"
    backbone = tiny / "backbone"
    backbones.prepare(BACKBONE, SMALL, backbone / "config.json", backbone / "weights.safetensors")
    prepared = Prepared.read(backbone / "config.json", backbone / "weights.safetensors")
    model = backbones.build(prepared, 3, seed=0)
    save_file(model.state_dict(), tiny / "model.safetensors")
    add_run(tiny, "full", 0, [(0.5, 0.9), (0.7, 0.8)], best_epoch=2)
    add_run(tiny, "full", 1, [(0.8, 0.6), (0.6, 0.1)], best_epoch=1)
    add_run(tiny, "full", 2, [(0.7, 0.7), (0.8, 0.5)], best_epoch=2)
    add_run(tiny, "full", 3, [(1.0, 0.1)], best_epoch=1, fraction=0.1)
    add_run(tiny, "head_only", 0, [(0.9, 0.3)], best_epoch=1, loss="binary_cross_entropy")
    (tiny / "comparison").mkdir()
    (tiny / "comparison/verdict.json").write_text(json.dumps({"leader": "full"}))
    (root / "photos/deeper").mkdir(parents=True)
    for seed, size in enumerate([(64, 48), (20, 90), (32, 32), (300, 200), (33, 40)]):
        picture(seed, *size).save(root / f"photos/{seed}.png")
    picture(9, 50, 40).save(root / "photos/deeper/9.jpg")
    (root / "photos/notes.txt").write_text("not an image")
    (root / "photos/.hidden.png").write_text("not an image")
    return root


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def predict(*arguments: str | Path) -> int:
    return cli.main(["predict", *map(str, arguments)])


def classifier(strategy: str) -> prediction.Classifier:
    tiny = Path("results/tiny")
    return prediction.trained(tiny, tiny / f"runs/{strategy}/fraction-1.0/split-0/seed-0")


@pytest.mark.parametrize("strategy", ["full", "head_only"])
def test_files_are_classified_as_evaluation_classifies_them(strategy, tmp_path, monkeypatch, cpu):
    paths = sorted(Path("photos").glob("[0-9].png")) + [FLOWER]
    ids = [path.name for path in paths]
    names = {"id": ids, "path": map(str, paths), "label": "", "split": ""}
    table = manifest.build(pd.DataFrame(names, dtype="str"))
    model = classifier(strategy)
    pixels, index = tmp_path / "images.bin", tmp_path / "index.csv"
    build_cache(table, pixels, index, model.image)
    cache = ImageCache.open(pixels, index)
    expected = prediction.probabilities(model, cache, ids, cpu)
    monkeypatch.setattr(classification, "_CACHED", 3)
    scores = prediction.classify(classifier(strategy), paths).scores
    assert scores.dtype == np.float32 and scores.shape == (6, 3)
    assert np.allclose(scores, expected, atol=1e-5)
    assert np.allclose(scores.sum(1), 1, atol=1e-5)
    assert np.ptp(scores, axis=0).max() > 0.01  # or the test would prove little


def test_probabilities_are_as_sure_as_evaluation_made_them(home):
    """The temperature that evaluation fitted is the model's from then on; the order stays."""
    (run,) = (home / "results").glob("*/runs/full/fraction-1.0/split-0/seed-0")
    plain = classifier("full")
    (run / "metrics.json").write_text(json.dumps({"flips": [], "temperature": 4.0}))
    try:
        soft = classifier("full")
        assert (plain.temperature, soft.temperature) == (1.0, 4.0)
        sure, unsure = (prediction.classify(each, [FLOWER]).scores[0] for each in (plain, soft))
    finally:
        (run / "metrics.json").unlink()
    assert np.allclose(unsure, sure**0.25 / (sure**0.25).sum(), atol=1e-5)
    assert (unsure.argsort() == sure.argsort()).all() and unsure.max() < sure.max()


def test_text_names_the_likely_classes_best_first(capsys):
    assert predict("photos/0.png", "photos", "--top", "2") == 0
    output, choices = capsys.readouterr()
    lines = output.splitlines()
    assert len(lines) == 7 * 3
    assert [line for line in lines if line.startswith("photos")] == [
        "photos/0.png",
        *(f"photos/{i}.png" for i in range(5)),
        "photos/deeper/9.jpg",
    ]
    share, sign, name = lines[1].split()
    assert float(share) >= float(lines[2].split()[0]) and sign == "%" and name in CLASSES
    assert lines[1].index("%") == lines[2].index("%")
    assert "tiny" in choices


def test_json_can_be_read_back(capsys):
    assert predict("photos/3.png", "--json", "--top", "9") == 0
    output = capsys.readouterr().out
    [row] = json.loads(output)
    assert row["image"] == "photos/3.png" and list(row) == ["image", "predictions"]
    shares = [likely["probability"] for likely in row["predictions"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)
    assert {likely["label"] for likely in row["predictions"]} == set(CLASSES)
    assert "苹果" in output


def test_the_seed_is_the_best_on_val_of_the_leaders_largest_fraction(capsys):
    assert predict("photos/0.png") == 0
    assert capsys.readouterr().err.splitlines() == [
        "experiment  tiny (the only finished one)",
        "strategy    full (the verdict's leader)",
        "fraction    1.0 (the largest)",
        "seed        2 (the best of 3, with 80.0 % of the validation images)",  # by its val loss
    ]


@pytest.mark.parametrize(
    ("strategy", "fraction", "seed", "chosen"),
    [
        ("head_only", None, None, "head_only/fraction-1.0/split-0/seed-0"),
        (None, None, 1, "full/fraction-1.0/split-0/seed-1"),
        (None, None, 3, "full/fraction-0.1/split-0/seed-3"),
        (None, 0.1, None, "full/fraction-0.1/split-0/seed-3"),
    ],
)
def test_a_given_choice_is_kept(strategy, fraction, seed, chosen):
    tiny = Path("results/tiny")
    assert results.run(tiny, strategy, fraction, seed).folder == tiny / "runs" / chosen


def test_the_latest_of_several_experiments_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, age in (("a", 5), ("b", 0), ("c", 9)):
        verdict = Path("results", name, "comparison/verdict.json")
        verdict.parent.mkdir(parents=True)
        verdict.touch()
        os.utime(verdict, (1e9 - age, 1e9 - age))
        Path("results", name, "classes.json").touch()
    choice = results.experiment(None)
    assert choice.folder == Path("results/b") and "latest of 3" in choice.reasons["experiment"]


def test_every_kind_of_image_is_classified(tmp_path, capsys):
    upright = picture(1, 80, 60)
    upright.save(tmp_path / "a.png")
    upright.convert("RGBA").save(tmp_path / "b.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "c.png", exif=turned)
    upright.convert("L").save(tmp_path / "d.png")
    upright.convert("P").save(tmp_path / "e.gif")
    upright.convert("CMYK").save(tmp_path / "f.jpg")
    upright.convert("L").convert("I;16").save(tmp_path / "g.tif")
    upright.save(os.fsdecode(os.fsencode(tmp_path) + b"/h\xff.png"))  # a name that is no UTF-8
    assert predict(tmp_path, "--json", "--top", "3", "--plot", tmp_path / "i.png") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 8 and rows[7]["image"].endswith("/h\ufffd.png")
    assert rows[0]["predictions"] == rows[1]["predictions"] == rows[2]["predictions"]


def test_a_sixteen_bit_picture_is_as_bright_as_in_training(tmp_path, monkeypatch, home, cpu):
    dark = np.random.default_rng(0).integers(0, 300, (40, 40), dtype=np.uint16)
    names = ["dark.png", "bright.png"]
    for name, pixels in zip(names, (dark, dark * 200), strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    listing = pd.DataFrame({"id": names, "label": ["a", "b"], "split": ""}, dtype="str")
    table = manifest.build(listing.assign(path=[str(tmp_path / name) for name in names]))
    experiment = tmp_path / "results/tiny"
    shutil.copytree(home / "results/tiny", experiment)
    table.to_csv(experiment / "manifest.csv", index=False)
    run = experiment / "runs/full/fraction-1.0/split-0/seed-0"
    model = prediction.trained(experiment, run)
    assert model.ranges == {"I;16": (0, 65535)}

    build_cache(table, tmp_path / "images.bin", tmp_path / "index.csv", model.image)
    cache = ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")
    expected = prediction.probabilities(model, cache, ["dark.png"], cpu)
    alone = prediction.classify(prediction.trained(experiment, run), [tmp_path / "dark.png"])
    assert np.allclose(alone.scores, expected, atol=1e-5)
    assert classification.thumbnail(tmp_path / "dark.png", alone.ranges).max() <= 1

    other = prediction.classify(classifier("full"), [tmp_path / "dark.png"])  # knows of no range
    assert other.ranges == {"I;16": (0, 1023)} and not np.allclose(
        other.scores, expected, atol=1e-3
    )


def test_plot_draws_a_row_per_image_in_any_script(tmp_path, capsys, caplog):
    target = tmp_path / "new" / "out.png"
    assert predict("photos", "--plot", target) == 0
    assert str(target) in capsys.readouterr().err
    tall, width = np.asarray(Image.open(target).convert("L")).shape
    assert predict("photos/0.png", "--plot", target) == 0
    assert np.asarray(Image.open(target).convert("L")).shape[0] < tall
    assert not caplog.messages  # no character of CLASSES is missing from the fonts


def test_plot_says_when_it_leaves_images_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "MOST_ROWS", 2)
    assert predict("photos", "--plot", tmp_path / "out.png") == 0
    assert "out.png (the first 2 of 6 images)" in capsys.readouterr().err


def test_long_names_leave_room_for_the_bars(tmp_path):
    pairs = [("W" * 300, 0.5), ("猫" * 99, 0.3), ("$x^2_", 0.2)]
    image = np.zeros((20, 400, 3), np.uint8)
    figures.predictions([image], ["n" * 300], [pairs], "t" * 300, tmp_path / "out.png")
    page = np.asarray(Image.open(tmp_path / "out.png").convert("L"))
    assert page[:, -1].min() > 200 and page[:, 0].min() > 200
    assert (page[:, page.shape[1] * 3 // 4] < 200).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/0.png", "no.png", "nor/this"], "no such image: no.png, nor/this"),
        (["results"], "no such image: results (a folder without images)"),
        (["photos/notes.txt"], "photos/notes.txt: not an image"),
        (["photos/0.png", ""], "IMAGE is empty; give an image file or a folder of images"),
        (["photos/0.png", "--experiment", "x"], "no experiment 'x' under results/; there are: beg"),
        (["photos/0.png", "--experiment", "begun"], "'begun' is not finished: it has no trained"),
        (["photos/0.png", "--strategy", "x"], "strategy 'x'; there are: full, head_only"),
        (["photos/0.png", "--seed", "9"], "seed 9; there are: 0, 1, 2, 3"),
        (["photos/0.png", "--fraction", "0.2"], "fraction 0.2; there are: 0.1, 1.0"),
        (["photos/0.png", "--plot", "out.pdf"], "ends in .png"),
        (["photos/0.png", "--plot", "photos/0.png/x.png"], "--plot photos/0.png/x.png: "),
        (["photos/0.png", "--backbone", "resnet18"], "add it"),
        (["photos/0.png", "--pretrained", "--seed", "1"], "leave out what chooses one"),
        (["photos/0.png", "--pretrained", "--backbone", "rexnet"], "which timm does not have"),
        (["photos/0.png", "--pretrained", "--experiment", "begun"], "'begun' is not finished"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(arguments, message, capsys):
    assert predict(*arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_without_a_verdict_a_strategy_has_to_be_named(capsys, home):
    verdict = home / "results/tiny/comparison/verdict.json"
    kept = verdict.rename(verdict.with_suffix(".kept"))
    try:
        assert predict("photos/0.png") == 1
        assert "no experiment under results/ is finished" in capsys.readouterr().err
        assert predict("photos/0.png", "--experiment", "tiny") == 1
        assert "--strategy full or head_only" in capsys.readouterr().err
        assert results.run(home / "results/tiny", "full", None, None).folder.is_dir()
    finally:
        kept.rename(verdict)


def test_a_model_of_other_classes_is_refused(tmp_path, monkeypatch, capsys, home):
    (tmp_path / "results").mkdir()
    other = tmp_path / "results/other"
    other.mkdir()
    for part in ("model.safetensors", "backbone", "runs", "comparison"):
        (other / part).symlink_to(home / "results/tiny" / part)
    (other / "classes.json").write_text(json.dumps(["a", "b"]))
    monkeypatch.chdir(tmp_path)
    assert predict(FLOWER) == 1
    assert "does not fit run.json and the 2 classes of 'other'" in capsys.readouterr().err


RUN = "results/tiny/runs/full/fraction-1.0/split-0/seed-2/"
RECORDS = [
    *(f"{RUN}{name}" for name in ("run.json", "history.csv", "metrics.json", "model.safetensors")),
    *(f"results/tiny/{name}" for name in ("classes.json", "comparison/verdict.json")),
]


@pytest.mark.parametrize("name", [*RECORDS, "results/tiny/backbone/config.json"])
@pytest.mark.parametrize("kept", [0, 10])
def test_a_record_that_is_cut_off_is_named_in_one_line(
    tmp_path, monkeypatch, capsys, home, name, kept
):
    shutil.copytree(home / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    whole = path.read_bytes() if path.exists() else b'{"flips": [], "temperature": 1.0}'
    path.unlink(missing_ok=True)  # it may be a link to what others use
    path.write_bytes(whole[:kept])
    pretrained = ["--pretrained", "--experiment", "tiny"] if "backbone" in name else []
    assert predict(FLOWER, *pretrained) == 1
    *choices, error = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {name} ") and "again" in error
    assert not [line for line in choices if "error" in line or "Traceback" in line]


@pytest.mark.parametrize("where", ["home", "elsewhere"])
def test_pretrained_names_what_is_in_a_photograph(where, tmp_path, monkeypatch, capsys):
    """The flower of scikit-learn is a dahlia, which ImageNet-1k lacks; the daisy is closest."""
    if where == "elsewhere":
        monkeypatch.chdir(tmp_path)
    assert predict(FLOWER, "--pretrained", "--json") == 0
    output, said = capsys.readouterr()
    [row] = json.loads(output)
    assert row["predictions"][0]["label"] == "daisy"
    assert ("tf_efficientnet_lite0" if where == "elsewhere" else "tiny") in said


def test_pretrained_needs_an_imagenet_head(tmp_path, monkeypatch, capsys):
    state = load_file("results/tiny/model.safetensors")
    monkeypatch.setattr("headstart.models.weights.load", lambda backbone: state)
    monkeypatch.chdir(tmp_path)
    assert predict(FLOWER, "--pretrained") == 1
    assert "have no ImageNet head" in capsys.readouterr().err


def test_help_loads_neither_torch_nor_matplotlib():
    script = (
        "import sys\nfrom headstart import cli\n"
        "try: cli.main(['predict', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'matplotlib', 'timm'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
