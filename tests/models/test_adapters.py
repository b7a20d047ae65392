"""Few parameters in place of all: what changes, what is counted, and plain weights at the end."""

import pytest
import timm
import torch
from timm.layers.grn import GlobalResponseNorm
from torch import nn

from headstart import HeadstartError
from headstart.models import adapters, backbones, layers

NETWORKS = [
    ("timm", "test_vit", 160),
    ("timm", "test_efficientnet", 64),
    ("timm", "test_convnext", 64),
    ("torchvision", "resnet18", 64),
    ("torchvision", "vit_b_32", 224),
]


@pytest.fixture
def network(make_model):
    """A network with three classes whose output is not near zero, as a fresh one's may be."""

    def network(library: str, name: str) -> nn.Module:
        model = make_model(library, name)
        head = model.get_submodule(layers.head_name(model))
        nn.init.normal_(head.weight, std=0.3)
        for key, parameter in model.named_parameters():
            if key.endswith("gamma"):  # LayerScale begins at almost nothing
                nn.init.ones_(parameter)
        return model

    return network


def changed(model: nn.Module, rank: int = 2, seed: int = 3) -> nn.Module:
    """The model with low-rank changes that are not zero."""
    adapters.add(model, layers.head_name(model), rank, seed)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, adapters.LowRank):
            nn.init.normal_(module.b, std=0.05)
    return model


@pytest.mark.parametrize(("library", "name", "size"), NETWORKS)
def test_merged_weights_answer_as_the_changed_network_does(network, library, name, size):
    model, images = network(library, name), torch.randn(2, 3, size, size)
    with torch.inference_mode():
        before = model(images)
        adapters.add(model, layers.head_name(model), 2, 3)
        assert torch.equal(model(images), before)  # B starts at zero
    model = changed(network(library, name))
    with torch.inference_mode():
        logits = model(images)
    assert (logits - before).abs().max() > 1e-3
    state = adapters.merged_state(model)
    plain = backbones.create(name, library, 3).eval()
    assert state.keys() == plain.state_dict().keys()
    plain.load_state_dict(state)
    adapters.merge(model)
    assert model.state_dict().keys() == state.keys()
    with torch.inference_mode():
        for merged in (plain, model):
            torch.testing.assert_close(merged(images), logits, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())


def test_the_change_keeps_full_precision_under_autocast(network):
    """Or the merged network would answer otherwise than what was validated."""
    model, images = changed(network("timm", "test_vit")), torch.randn(2, 3, 160, 160)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        logits = model(images)
        adapters.merge(model)
        assert torch.equal(model(images), logits)


@pytest.mark.parametrize(("library", "name", "size"), NETWORKS)
def test_the_numbers_of_a_low_rank_change_are_counted_before_they_are_there(
    make_model, library, name, size
):
    model = make_model(library, name)
    before = sum(parameter.numel() for parameter in model.parameters())
    for rank in (1, 8):
        expected = adapters.low_rank_size(model, layers.head_name(model), rank)
        adapters.add(model, layers.head_name(model), rank, 0)
        added = sum(parameter.numel() for parameter in model.parameters()) - before
        named = dict(model.named_parameters())
        numbers = sum(named[key].numel() for key in adapters.low_rank_names(model))
        assert numbers == added == expected > 0
        adapters.merge(model)


def test_the_change_has_its_rank_and_the_seed_decides_its_start(make_model):
    def drawn(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed + 100)  # nothing but the seed given may matter
        model = make_model("timm", "test_vit")
        adapters.add(model, layers.head_name(model), 3, seed)
        named = dict(model.named_parameters())
        return {key: named[key] for key in adapters.low_rank_names(model) if key.endswith(".a")}

    one, same, other = drawn(1), drawn(1), drawn(2)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not any(torch.equal(one[key], other[key]) for key in one)
    before = dict(make_model("timm", "test_vit").named_parameters())
    state = adapters.merged_state(changed(make_model("timm", "test_vit"), rank=3))
    key = "blocks.0.attn.qkv.weight"
    assert torch.linalg.matrix_rank(state[key] - before[key], atol=1e-5) == 3


def test_a_rank_beyond_the_weight_s_own_is_cut_to_it():
    change = adapters.LowRank(torch.zeros(3, 5, 1, 1), 8, torch.Generator())
    assert change.a.shape == (3, 5) and change.b.shape == (3, 3)
    assert change(torch.ones(3, 5, 1, 1)).shape == (3, 5, 1, 1)


def test_a_network_without_such_layers_is_refused(one_line):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.append(nn.Conv2d(4, 4, 1, groups=2)).append(nn.Linear(4, 2))
    with pytest.raises(HeadstartError) as caught:
        adapters.adaptable(model, layers.head_name(model))
    assert "the network has no linear layer and no 1×1 convolution" in one_line(caught)


@pytest.mark.parametrize(("library", "name", "size"), NETWORKS)
def test_biases_and_norms_are_all_of_them_and_nothing_else(make_model, library, name, size):
    model = make_model(library, name)
    few = set(adapters.bias_and_norm_names(model))
    for path, parameter in model.named_parameters():
        owner = model.get_submodule(path.rpartition(".")[0])
        norm = isinstance(owner, nn.BatchNorm2d | nn.LayerNorm)
        assert (path in few) == (norm or path.endswith("bias")), path
        assert path not in few or parameter.ndim == 1
    assert len(few) < len(list(model.parameters()))


def test_every_kind_of_norm_counts():
    """Those of timm have no base class in common."""
    kinds = [timm.layers.EvoNorm2dS0(8), timm.layers.RmsNorm(4), GlobalResponseNorm(4)]
    found = adapters.bias_and_norm_names(nn.Sequential(*kinds, nn.Linear(4, 2)))
    norms = {"0.weight", "0.bias", "0.v", "1.weight", "2.weight", "2.bias"}
    assert set(found) == norms | {"3.bias"} and len(found) == 7
