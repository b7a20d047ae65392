"""Inputs: what a run may read, what it trains for its strategy, and the whole model at the end."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from small_training import IMAGE, SIZE, TRAINED, N, run_name

from headstart import HeadstartError
from headstart.experiment.config import Transform
from headstart.models import layers
from headstart.training import inputs, prefix
from headstart.training.checkpoints import Progress
from headstart.training.jobs import Job
from headstart.views.batches import FeatureBatches, ImageBatches

HEAD = {"train": "head", "epochs": 1}
LAST = {"train": "last_k_stages", "stages": 1, "epochs": 1}


@pytest.fixture
def read(files, outputs, cpu):
    """The inputs of a strategy's run on a fraction of the images."""

    def read(strategy, fraction: float = 1.0, **changes) -> inputs.Inputs:
        name = run_name("any", fraction)
        return inputs.read(Job(name, strategy, replace(files, **changes), outputs), cpu)

    return read


@pytest.fixture
def pooled(tmp_path):
    """A file of features in three views."""
    values = np.random.default_rng(0).normal(size=(3, N, 96)).astype(np.float32)
    np.save(tmp_path / "pooled.npy", values)
    return tmp_path / "pooled.npy"


def test_a_fraction_is_of_the_training_images_alone(read, make_strategy):
    whole, half = (read(make_strategy({}), fraction) for fraction in (1.0, 0.5))
    assert {part: len(rows) for part, rows in whole.examples.rows.items()} == {
        "train": TRAINED,
        "val": N - TRAINED,
    }
    assert len(half.examples.rows["train"]) == TRAINED // 2
    assert set(half.examples.rows["train"]) < set(whole.examples.rows["train"])
    assert np.bincount(half.examples.labels["train"]).tolist() == [3, 3]
    assert np.array_equal(half.examples.rows["val"], whole.examples.rows["val"])
    for part, rows in half.examples.rows.items():
        assert np.array_equal(half.examples.labels[part], rows % 2)
        ids = half.frame.id[half.frame.split == part]
        assert [half.cache.ids[row] for row in rows] == list(ids)
    assert half.split_hash == whole.split_hash


def test_what_may_be_read_decides_the_result(read, make_strategy, files):
    before = read(make_strategy({})).made_by
    text = files.train_val.read_text()
    files.train_val.write_text(text.replace("i00,bright,train", "i00,bright,val"))
    after = read(make_strategy({})).made_by
    changed = [key for key in before if before[key] != after[key]]
    assert changed == ["split_hash"]


def test_labels_and_pixels_and_features_decide_the_result(read, make_strategy, files, tmp_path):
    meta = tmp_path / "pooled.json"
    keys = {"first": read(make_strategy({})).made_by}
    for path, old, new in (
        (files.train_val, "i00,bright,", "i00,dark,"),
        (files.index, f"{SIZE},{SIZE},17", f"{SIZE},{SIZE},other"),
    ):
        text = path.read_text()
        path.write_text(text.replace(old, new))
        keys[path.name] = read(make_strategy({})).made_by
        path.write_text(text)
    for views in "12":
        meta.write_text(json.dumps({"sha256": views}))
        keys[f"views {views}"] = read(make_strategy({}), features_meta=meta).made_by
    hashes = [made["data_hash"] for made in keys.values()]
    assert len(set(hashes)) == len(hashes) == 5
    assert len({made["split_hash"] for made in keys.values()}) == 1


def test_all_layers_train_on_images(read, make_strategy):
    task, batches = inputs.prepare(read(make_strategy({"epochs": 2})))
    assert isinstance(batches, ImageBatches)
    images, labels = next(batches.train(1))
    assert images.shape == (8, 3, IMAGE["size"], IMAGE["size"]) and labels.shape == (8,)
    assert task.infer(images).shape == (8, 2)


def test_a_head_trains_on_cached_features(read, make_strategy, pooled):
    given = read(make_strategy(HEAD), features=pooled)
    task, batches = inputs.prepare(given)
    assert isinstance(batches, FeatureBatches) and batches.resident
    assert [name for name, _ in task.model.named_parameters()] == ["head.weight", "head.bias"]
    plain, labels = next(batches.val())
    assert torch.equal(plain, torch.from_numpy(np.load(pooled)[0, TRAINED:]))
    assert labels.tolist() == [0, 1] * 3


def test_last_stages_train_on_what_the_frozen_part_computed(read, make_strategy, cpu, tmp_path):
    """And so give what the whole model gives for the images themselves."""
    strategy = make_strategy(LAST)
    given, maps = read(strategy), tmp_path / "before_last_1.npy"
    prefix.extract(given.cache, given.backbone, 1, cpu, maps)
    task, batches = inputs.prepare(read(strategy, features=maps))
    whole, on_images = inputs.prepare(given)
    assert isinstance(batches, FeatureBatches) and isinstance(on_images, ImageBatches)
    assert len(list(task.model.parameters())) < len(list(whole.model.parameters()))
    task.infer_mode()
    whole.infer_mode()
    (stored, _), (images, _) = next(batches.val()), next(on_images.val())
    made = task.infer(stored)
    torch.testing.assert_close(made, whole.infer(images), rtol=1e-3, atol=1e-4)


def test_a_backbone_that_cannot_be_cut_trains_on_images(read, make_strategy, tmp_path):
    np.save(tmp_path / "empty.npy", np.empty(0, np.float32))
    given = read(make_strategy(LAST), features=tmp_path / "empty.npy")
    task, batches = inputs.prepare(given)
    assert isinstance(batches, ImageBatches)
    assert {*dict(task.model.named_parameters())} == {*load_file(given.backbone.weights)} - {
        name for name, _ in task.model.named_buffers()
    }


def test_mixing_makes_the_targets_of_training_soft(read, make_strategy):
    strategy = replace(
        make_strategy({"epochs": 1}), augmentation=(Transform("mixup", (("alpha", 1.0),)),)
    )
    _, batches = inputs.prepare(read(strategy))
    _, targets = next(batches.train(1))
    assert targets.shape == (8, 2) and torch.allclose(targets.sum(1), torch.ones(8))
    assert next(batches.val())[1].ndim == 1


def test_an_image_size_that_the_backbone_refuses_names_its_key(read, make_strategy, monkeypatch):
    def refuse(self, images):
        raise RuntimeError("too small")

    strategy = make_strategy({"epochs": 2, "start_size": 16})
    given = read(strategy)
    given.backbone.description["image"] |= {"size": 32, "resize": 32}
    _, batches = inputs.prepare(given)
    sizes = [next(batches.train(epoch))[0].shape[-1] for epoch in (1, 2, 3)]
    assert sizes == [16, 32, 32] and next(batches.val())[0].shape[-1] == 32
    monkeypatch.setattr("timm.models.ResNet.forward", refuse)
    with pytest.raises(HeadstartError, match=r"phases\.start_size is 16, which test_resnet"):
        inputs.prepare(given)


@pytest.mark.parametrize("trained", ["head", "last stage", "all"])
def test_the_whole_model_has_its_frozen_part_from_the_backbone(
    read, make_strategy, pooled, cpu, tmp_path, trained
):
    """A run keeps what trained; what it leaves is the whole network for the images."""
    strategy = make_strategy({"head": HEAD, "last stage": LAST, "all": {"epochs": 1}}[trained])
    given, maps = read(strategy), tmp_path / "before_last_1.npy"
    prefix.extract(given.cache, given.backbone, 1, cpu, maps)
    features = {"head": pooled, "last stage": maps, "all": None}[trained]
    given = read(strategy, features=features)
    task, _ = inputs.prepare(given)
    kept = {name: torch.full_like(value, 0.5) for name, value in task.kept().items()}
    whole = inputs.whole_model(given, Progress(best_model=kept)).state_dict()
    pretrained = load_file(given.backbone.weights)
    head = layers.head_name(inputs.prepare(read(strategy))[0].model) + "."
    for name, value in whole.items():
        own = name if trained != "head" else name.replace(head, "head.")
        wanted = kept[own] if own in kept else pretrained[name]
        assert torch.equal(value, wanted), name
    assert (len(kept) < len(whole)) == (trained != "all")


def test_the_example_is_what_evaluation_shows_the_model(read, make_strategy):
    given = read(make_strategy({"epochs": 1}))
    example = inputs.input_example(given.cache, given.frame, given.backbone.image)
    rows = given.examples.rows["train"][:2]
    pictures = np.stack([given.cache[int(row)] for row in rows])
    assert example.dtype == np.float32
    assert np.allclose(example, (pictures.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5, atol=1e-6)


@pytest.mark.parametrize("then", [{"train": "all", "epochs": 1}, HEAD])
def test_a_head_may_start_from_the_fitted_probe(read, make_strategy, pooled, then):
    """lp_ft: on images with features beside them, or on the features alone."""
    probe = {"train": "probe", "epochs": 0, "classifier": "logistic_regression", "strength": 0.1}
    on_images = then["train"] == "all"
    beside = {"probe_features" if on_images else "features": pooled}
    given = read(make_strategy(probe, then), **beside)
    task, batches = inputs.prepare(given)
    assert isinstance(batches, ImageBatches if on_images else FeatureBatches)
    head = task.model.get_submodule(layers.head_name(task.model) if on_images else "head")
    plain, labels = np.load(pooled)[0], given.examples.labels
    fitted = LogisticRegression(C=0.1, max_iter=1000).fit(
        plain[given.examples.rows["train"]], labels["train"]
    )
    with torch.inference_mode():
        shares = head(torch.from_numpy(plain)).softmax(1).numpy()
    assert np.allclose(shares, fitted.predict_proba(plain), atol=1e-4)


def test_steps_become_epochs_of_the_fraction_s_images(read, make_strategy):
    strategy = make_strategy({"epochs": 2, "steps": 6}, batch_size=4)
    assert read(strategy).job.strategy.epochs == 2
    assert read(strategy, 0.5).job.strategy.epochs == 3
