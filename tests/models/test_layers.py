"""Parts of networks: the head, the stages, and a head that is new."""

import pytest
import torch

from headstart import HeadstartError
from headstart.experiment import config
from headstart.models import backbones, layers

ARCHITECTURES = [
    ("timm", "test_efficientnet"),
    ("timm", "test_resnet"),
    ("timm", "test_vit"),
    ("timm", "test_convnext"),
    ("torchvision", "resnet18"),
    ("torchvision", "mobilenet_v3_small"),
    ("torchvision", "shufflenet_v2_x0_5"),
    ("torchvision", "mnasnet0_5"),
]
# built on torch's meta device: names and order need no numbers
META_ONLY = [
    ("timm", "resnet50"),
    ("timm", "vit_base_patch16_224"),
    ("timm", "swin_tiny_patch4_window7_224"),
    ("timm", "convnext_tiny"),
    ("timm", "efficientnet_b0"),
    ("timm", "vgg11"),
    ("torchvision", "convnext_tiny"),
    ("torchvision", "efficientnet_b0"),
    ("torchvision", "swin_t"),
    ("torchvision", "vit_b_32"),
    ("torchvision", "densenet121"),
    ("torchvision", "vgg11_bn"),
]


@pytest.mark.parametrize(("library", "name"), ARCHITECTURES + META_ONLY)
def test_head_and_stages_partition_the_parameters(library, name):
    with torch.device("meta"):
        model = backbones.create(name, library, 3)
    head = layers.head_name(model)
    assert model.get_submodule(head).out_features == 3
    stages = layers.stages(model)
    names = [name for stage in stages for name in stage]
    everything = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(names))
    assert set(names) == {name for name in everything if not name.startswith(head + ".")}
    assert len(stages) >= 3 and all(stages)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("timm", "test_resnet"),
        ("timm", "test_efficientnet"),
        ("timm", "test_vit"),
        ("torchvision", "resnet18"),
        ("torchvision", "shufflenet_v2_x0_5"),
    ],
)
def test_stages_run_from_input_to_output(make_model, library, name):
    """A stage's layers first run after those of the stage before it, in a real forward pass."""
    model = make_model(library, name)
    owner = {name: i for i, stage in enumerate(layers.stages(model)) for name in stage}
    first_run: dict[int, int] = {}
    count = 0

    def hook(path: str):
        def called(*_: object) -> None:
            nonlocal count
            count += 1
            for parameter, _ in model.get_submodule(path).named_parameters(recurse=False):
                first_run.setdefault(owner.get(f"{path}.{parameter}", -1), count)

        return called

    for path, module in model.named_modules():
        if path and list(module.parameters(recurse=False)):
            module.register_forward_hook(hook(path))
    with torch.no_grad():
        model(torch.zeros(1, 3, 160, 160))
    first_run.pop(-1, None)
    if "vit" in name:
        first_run.pop(0)  # the class token and the position embedding belong to no layer
    assert [stage for stage, _ in sorted(first_run.items(), key=lambda item: item[1])] == sorted(
        first_run
    )
    assert len(first_run) >= len(set(owner.values())) - 1


@pytest.mark.parametrize(("library", "name"), ARCHITECTURES)
def test_a_detached_head_leaves_its_own_input(make_model, library, name):
    model = make_model(library, name)
    size = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 64, 64))[-1]
    images = torch.randn(2, 3, size, size)
    seen = []
    head = model.get_submodule(layers.head_name(model))
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = model(images)
        handle.remove()
        assert layers.detach_head(model) is head
        pooled = model(images)
        assert torch.equal(pooled, seen[0])
        assert pooled.shape == (2, head.in_features)
        assert torch.equal(head(pooled), logits)


@pytest.mark.parametrize(("library", "name"), [("torchvision", "squeezenet1_0"), ("timm", "dla34")])
def test_a_model_without_one_linear_head_is_refused(library, name):
    with torch.device("meta"):
        model = backbones.create(name, library, 3)
    with pytest.raises(HeadstartError, match="single linear layer; choose another backbone"):
        layers.head_name(model)


def test_a_new_head_is_xavier_uniform():
    torch.manual_seed(0)
    head = layers.new_head(300, 5)
    bound = (6 / 305) ** 0.5
    assert head.weight.abs().max() <= bound and head.weight.abs().max() > 0.98 * bound
    assert (head.bias == 0).all()


ALL = ({"train": "all"},)
LAST = ({"train": "last_k_stages", "stages": 1},)
HEAD = ({"train": "head"},)


@pytest.mark.parametrize(
    ("library", "name", "size", "phases", "refused"),
    [
        ("torchvision", "resnet18", 32, ALL, True),
        ("torchvision", "resnet18", 32, LAST, True),
        ("torchvision", "resnet18", 32, (*HEAD, *LAST), True),
        ("torchvision", "resnet18", 32, HEAD, False),
        ("torchvision", "resnet18", 64, ALL, False),
        ("timm", "test_efficientnet", 32, ALL, True),
        ("timm", "test_convnext", 32, ALL, False),
    ],
)
def test_a_batch_of_one_is_refused_where_training_on_it_would_fail(
    make_model, make_strategy, one_line, library, name, size, phases, refused
):
    model, strategy = make_model(library, name).train(), make_strategy(*phases, batch_size=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    if refused:
        with pytest.raises(HeadstartError) as caught:
            layers.require_batch(model, strategy, (3, size, size), [1, 1, 1])
        text = one_line(caught)
        assert text.startswith("training.batch_size is 1, but the network's BatchNorm layers")
        assert model.get_submodule(text.split("'")[2]).track_running_stats
    else:
        layers.require_batch(model, strategy, (3, size, size), [1, 1, 1])
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert fails(model, strategy, size) == refused
    layers.require_batch(model, strategy, (3, size, size), [2, 3])


def fails(model: torch.nn.Module, strategy: config.Strategy, size: int) -> bool:
    """Whether BatchNorm refuses a batch of one in a phase of the strategy."""
    for phase in strategy.phases:
        body, head = layers.trainable_names(model, phase)
        layers.freeze_all_but(model, [*body, *head])
        layers.train_mode(model)
        try:
            model(torch.zeros(1, 3, size, size))
        except ValueError as error:
            return "more than 1 value per channel" in str(error)
    return False


def test_a_single_training_image_is_told_from_a_batch_of_one(make_model, make_strategy, one_line):
    strategy = make_strategy(*ALL, batch_size=8)
    with pytest.raises(HeadstartError) as caught:
        layers.require_batch(make_model("torchvision", "resnet18"), strategy, (3, 32, 32), [1])
    assert one_line(caught).startswith("only one image trains, but")


def test_a_head_on_features_takes_a_batch_of_one(make_strategy):
    model = torch.nn.Sequential()
    model.add_module("head", layers.new_head(5, 2))
    layers.require_batch(model, make_strategy(*HEAD, batch_size=1), (5,), [1])
