"""Networks made for one size, at another: as the library's own network of that size."""

import json

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import backbones, sizes
from headstart.models.backbones import Prepared

NETWORKS = [
    ("vit_tiny_patch16_224", 96),
    ("vit_small_patch14_dinov2", 224),
    ("eva02_tiny_patch14_224", 98),
    ("vit_relpos_small_patch16_224", 96),
    ("swin_tiny_patch4_window7_224", 96),
    ("swinv2_tiny_window8_256", 96),
    ("maxvit_pico_rw_256", 128),
    ("vit_b_32", 96),
]


def image(size: int | None) -> config.Image:
    return config.Image(size, 1.0, None, None, None, None)


@pytest.fixture
def prepared(tmp_path, make_backbone):
    """A backbone with weights from a file, resolved for images of some size."""

    def prepared(name: str, size: int | None) -> Prepared:
        library = "torchvision" if name == "vit_b_32" else "timm"
        torch.manual_seed(0)
        state = backbones.create(name, library, 3).state_dict()
        save_file(state, tmp_path / "mine.safetensors")
        outputs = tmp_path / "config.json", tmp_path / "weights.safetensors"
        backbone = make_backbone(name, library, str(tmp_path / "mine.safetensors"))
        backbones.prepare(backbone, image(size), *outputs)
        assert json.loads(outputs[0].read_text())["image"]["size"] == size
        assert all(torch.equal(state[k], v) for k, v in load_file(outputs[1]).items())
        return Prepared.read(*outputs)

    return prepared


@pytest.mark.parametrize(("name", "size"), NETWORKS)
def test_the_plain_library_loads_what_was_built_for_another_size(prepared, name, size):
    model, images = backbones.build(prepared(name, size), 5).eval(), torch.randn(2, 3, size, size)
    plain = (
        torchvision.models.get_model(name, num_classes=5, image_size=size)
        if name == "vit_b_32"
        else timm.create_model(name, num_classes=5, img_size=size)
    )
    plain.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(plain.eval()(images), model(images))


@pytest.mark.parametrize(("name", "size"), [NETWORKS[1], NETWORKS[-1]])
def test_what_is_not_pretrained_is_made_for_the_size(name, size):
    library = "torchvision" if name == "vit_b_32" else "timm"
    description = {"name": name, "library": library, "image": {"size": size}}
    model = backbones.untrained(description, 2)
    with torch.inference_mode():
        assert model.eval()(torch.zeros(1, 3, size, size)).shape == (1, 2)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_b_32"])
def test_a_pretrained_position_embedding_is_resampled(prepared, name):
    """Each quarter of the image keeps about the mean of what stood there."""
    backbone = prepared(name, 128)
    key = "encoder.pos_embedding" if name == "vit_b_32" else "pos_embed"
    before = load_file(backbone.weights)[key]
    after = backbones.build(backbone, 3).state_dict()[key]
    assert torch.equal(before[:, :1], after[:, :1])  # of the class token
    maps = [
        value[0, 1:].unflatten(0, (-1, int((value.shape[1] - 1) ** 0.5)))
        for value in (before, after)
    ]
    assert maps[1].shape[0] == 128 // (32 if name == "vit_b_32" else 16) < maps[0].shape[0]
    torch.testing.assert_close(maps[0].mean((0, 1)), maps[1].mean((0, 1)), atol=0.01, rtol=0)


def test_the_size_it_was_made_for_changes_nothing(prepared):
    backbone = prepared("vit_tiny_patch16_224", 224)
    built = backbones.build(backbone, 3).state_dict()
    for name, value in load_file(backbone.weights).items():
        assert name.startswith("head.") or torch.equal(built[name], value)


@pytest.mark.parametrize("name", ["test_resnet", "resnet18"])
def test_a_network_for_any_size_is_left_alone(make_model, name):
    model = make_model("timm" if name == "test_resnet" else "torchvision", name)
    assert sizes.option(model, 96) == {}
    sizes.change(model, name, 97)


@pytest.mark.parametrize(
    ("name", "size", "near"),
    [
        (
            "vit_small_patch14_dinov2",
            225,
            "14 pixels wide, do not divide; the nearest that fit are 224 and 238",
        ),
        ("vit_b_32", 16, "32 pixels wide, do not divide; the nearest that fits is 32"),
        (
            "swin_tiny_patch4_window7_224",
            98,
            "4 pixels wide, do not divide; the nearest that fit are 96 and 100",
        ),
    ],
)
def test_a_size_that_the_patches_do_not_divide_names_the_nearest(
    tmp_path, make_backbone, one_line, name, size, near
):
    backbone = make_backbone(name, "torchvision" if name == "vit_b_32" else "timm", "none")
    with pytest.raises(HeadstartError) as caught:
        backbones.prepare(backbone, image(size), tmp_path / "c.json", tmp_path / "w")
    assert one_line(caught) == f"image.size is {size}, which the patches of {name}, {near}"
    assert list(tmp_path.iterdir()) == []
