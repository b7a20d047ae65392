"""Backbones: resolved once, and built the same for the same seed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import backbones, layers, weights
from headstart.models.backbones import Prepared


@pytest.fixture
def description(make_model) -> dict[str, object]:
    """What `build` has to know of a test_resnet."""
    width = make_model("timm", "test_resnet").get_classifier().in_features
    made = {"name": "test_resnet", "library": "timm", "stem": "standard", "image": {"size": 64}}
    return made | {"num_features": width}


def test_prepare_describes_what_build_builds(tmp_path, tiny_state, make_backbone, no_image):
    save_file(tiny_state, tmp_path / "mine.safetensors")
    outputs = tmp_path / "config.json", tmp_path / "weights.safetensors"
    backbone = make_backbone("test_resnet", "timm", str(tmp_path / "mine.safetensors"))
    backbones.prepare(backbone, no_image, *outputs)
    description = json.loads(outputs[0].read_text())
    assert description["weights_sha256"] == weights.sha256(outputs[1])
    assert load_file(outputs[1]).keys() == tiny_state.keys()
    prepared = Prepared.read(*outputs)
    one, same, other = (backbones.build(prepared, 4, seed) for seed in (1, 1, 2))
    head = layers.head_name(one)
    assert one.get_submodule(head).weight.shape == (4, description["num_features"])
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        if not name.startswith(head):
            assert torch.equal(tensor, tiny_state[name])
    key = f"{head}.weight"
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


def test_a_random_body_depends_on_the_seed_alone(description):
    def built(seed: int) -> dict[str, torch.Tensor]:
        return backbones.build(Prepared(description, Path()), 2, seed, "random").state_dict()

    torch.manual_seed(5)
    one = built(1)
    torch.manual_seed(6)
    same, other = built(1), built(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_head_of_a_seed_is_the_same_on_every_body(tmp_path, description, make_model):
    """Pretrained or random, from images or features: one seed, one head to start from."""
    save_file(make_model("timm", "test_resnet", 9).state_dict(), tmp_path / "w.safetensors")
    backbone = Prepared(description, tmp_path / "w.safetensors")
    pretrained = backbones.build(backbone, 3, seed=4)
    scratch = backbones.build(backbone, 3, seed=4, init="random")
    torch.manual_seed(4)
    alone = layers.new_head(description["num_features"], 3)
    for model in (pretrained, scratch):
        assert torch.equal(model.get_submodule(layers.head_name(model)).weight, alone.weight)


@pytest.mark.parametrize(
    ("library", "name", "size"),
    [("timm", "convit_tiny", 64), ("timm", "maxvit_pico_rw_256", 80)],
)
def test_a_size_that_the_model_refuses_is_one_line(
    tmp_path, make_backbone, one_line, library, name, size
):
    image = config.Image(size, 1.0, None, None, None, None)
    backbone = make_backbone(name, library, "none")
    with pytest.raises(HeadstartError) as caught:
        backbones.prepare(backbone, image, tmp_path / "c.json", tmp_path / "w")
    assert f"image.size is {size}, which {name} does not take" in one_line(caught)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("library", "name", "near"),
    [
        ("timm", "deit_tiny_distilled_patch16_224.fb_in1k", "deit_tiny_patch16_224"),
        ("timm", "dpn68", "resnet50"),
        ("torchvision", "squeezenet1_1", "densenet121"),
    ],
)
def test_a_network_without_one_linear_head_is_refused_before_its_weights_are_fetched(
    tmp_path, monkeypatch, make_backbone, no_image, one_line, library, name, near
):
    monkeypatch.setattr(weights, "load", lambda _: pytest.fail("weights are fetched"))
    with pytest.raises(HeadstartError) as caught:
        backbones.prepare(
            make_backbone(name, library, "default"), no_image, tmp_path / "c", tmp_path / "w"
        )
    text = one_line(caught)
    assert f"backbone.name is {name!r}, which does not end in a single linear layer" in text
    assert near in text.split("such as ")[1]


def test_a_size_is_tried_where_the_network_is(make_model, gpu):
    backbones.require_size(make_model("timm", "test_resnet").to(gpu.type), "r", 64, "image.size")
