"""What frozen means: no bit changes while the rest trains, and features are the same again."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from headstart.models import layers
from headstart.training import loop, losses, strategies
from headstart.training.checkpoints import ResumeFile
from headstart.training.journal import Journal
from headstart.training.task import Task
from headstart.views import augmentation
from headstart.views.batches import Examples, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader


@pytest.fixture
def batches(make_cache, image, cpu) -> ImageBatches:
    """Eight training and four validation images as evaluation sees them, in two classes."""
    labels = np.arange(12) % 2
    rows = {"train": np.arange(8), "val": np.arange(8, 12)}
    examples = Examples(rows, {part: labels[positions] for part, positions in rows.items()})
    plain = augmentation.evaluation_transform(image)
    reader = Reader(make_cache(12), Normalizer(image, cpu))
    return ImageBatches(reader, examples, Policy([plain], plain), Sampling(4, "uniform", 0))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_a_frozen_body_is_bit_identical_after_training_on_images(
    tmp_path, batches, cpu, make_model, make_strategy, name
):
    model = make_model("timm", name, 2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    strategy = make_strategy({"train": "head", "epochs": 2, "weight_decay": 0.5})
    loss = losses.loss_function(strategy.training, np.arange(12) % 2, cpu)
    task = Task(model, loss, strategy.training, cpu, batches.resident)
    loop.fit(task, batches, strategy, 0, Journal(ResumeFile(tmp_path / "resume.pt", "key")))
    head = layers.head_name(model) + "."
    assert any("running_var" in key for key in before)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key]) != key.startswith(head), key


def test_train_mode_keeps_frozen_modules_in_eval(make_model, make_phase):
    model = make_model("timm", "test_efficientnet", 2)
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
    model = timm.create_model("test_efficientnet", drop_path_rate=0.5, num_classes=2)
    strategies.begin_phase(model, make_phase(train="head"))
    layers.train_mode(model)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.forward_features(images), model.forward_features(images))
