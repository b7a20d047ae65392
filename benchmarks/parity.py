"""Whether the faster fine-tuning learns as much as the tutorial's: the guard of finetuning.py.

Both sides fine-tune a tf_efficientnet_lite0 from the same ImageNet weights and the same new head
on 1,000 photographs of solar cells at 64 px, to tell monocrystalline from polycrystalline ones:
random resized crop and flip, the optimizer and schedule of the default experiment, eight epochs in
batches of 32. Order and crops are each side's own draws; headstart reads its cache and trains in
the precision that it chooses. The last epoch's models are tested on the photographs left out, each
side's way. The interval is that of headstart's verdict, and its lower end is held to the bar.
"""

from collections.abc import Iterable
from pathlib import Path

import baseline
import coverage_method
import measuring
import numpy as np
import torch
import trainings
from material import CROP, IMAGE, Photographs, photographs, strategy
from table import Row, number
from torch import nn
from torch.utils.data import DataLoader

from headstart.compute import devices
from headstart.experiment import config
from headstart.models import backbones, layers, layouts, weights
from headstart.training import strategies
from headstart.views import augmentation
from headstart.views.reader import consecutive

NETWORK = "tf_efficientnet_lite0"
IMAGES, TRAINED, SEEDS, BATCH, EPOCHS = 2624, 1000, 6, 32, 8
BAR = -1.0
_SMALL = IMAGE | {"size": 64, "resize": 73}
_PHASE = {"epochs": EPOCHS, "optimizer": "adamw", "lr": 1e-3, "schedule": "one_cycle"}


def rows(folder: Path, quick: bool) -> list[Row]:
    """None in a quick run: less of this would show nothing."""
    if quick:
        return []
    pictures = photographs(folder, IMAGES, label="type")
    with (
        measuring.process(measuring.HEADSTART) as headstart,
        measuring.process(measuring.TUTORIAL) as tutorial,
    ):
        ours = [headstart.run(headstart_right, pictures, seed) for seed in range(SEEDS)]
        theirs = [tutorial.run(tutorial_right, pictures, seed) for seed in range(SEEDS)]
    return [difference(np.stack(ours), np.stack(theirs))]


def difference(ours: np.ndarray, theirs: np.ndarray) -> Row:
    """The row of two sides' right answers, bool (seeds, n), on the same images."""
    low, high = coverage_method.difference_interval(ours, theirs)
    middle = 100 * (ours.mean() - theirs.mean())
    return Row(
        "accuracy, headstart minus tutorial, lower end in points",
        100 * low,
        BAR,
        f"{100 * ours.mean():.1f} %, difference {number(middle)} "
        f"[{number(100 * low)}, {number(100 * high)}]",
        f"{100 * theirs.mean():.1f} % (tutorial; {ours.shape[1]} images, {len(ours)} seeds)",
    )


def parts(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images to train on and of those to test on, the same for all seeds."""
    order = np.random.default_rng(0).permutation(n)
    return order[:TRAINED], order[TRAINED:]


def network(seed: int) -> nn.Module:
    """The network that both sides start from."""
    torch.manual_seed(seed)
    model = backbones.create(NETWORK, "timm", 2)
    weights.apply(model, weights.load(config.Backbone(NETWORK, "timm", "bundled")))
    return model


def headstart_right(pictures: Photographs, seed: int) -> np.ndarray:
    """Whether each test image was answered rightly, bool (n,)."""
    device = devices.open_device("auto", torch.get_num_threads())
    cache, labels = pictures.open()
    train, test = parts(len(cache))
    trained = strategy(_PHASE, CROP, batch_size=BATCH)
    chosen = trainings.examples(labels, train, train[:BATCH])
    batches = trainings.image_batches(cache, chosen, trained, _SMALL, device, seed)
    whole = network(seed)
    model = layouts.place(whole, device, whole.get_submodule(layers.head_name(whole)))
    trainings.fit(model, batches, trained, device, seed)
    order, plain = consecutive(len(test), BATCH), augmentation.evaluation_transform(_SMALL)
    tested = batches.reader.batches(test, order, plain)
    with layouts.autocast(device):
        return _answers(model, tested) == labels[test]


def tutorial_right(pictures: Photographs, seed: int) -> np.ndarray:
    """Whether each test image was answered rightly, bool (n,)."""
    cache, labels = pictures.open()
    train, test = parts(len(cache))
    model = network(seed)
    size = _SMALL["size"]
    batches = baseline.loader(pictures.files, size, BATCH, baseline.CROP, chosen=train.tolist())
    (phase,) = strategy(_PHASE).phases
    optimizer = strategies.begin_phase(model, phase)
    schedule = strategies.scheduler(optimizer, phase, len(batches))
    for _ in range(EPOCHS):
        baseline.train(model, optimizer, batches, log=lambda loss: schedule.step())
    data = baseline.loader(
        pictures.files, size, BATCH, baseline.PLAIN, chosen=test.tolist()
    ).dataset
    return _answers(model, (images for images, _ in DataLoader(data, BATCH))) == labels[test]


@torch.inference_mode()
def _answers(model: nn.Module, batches: Iterable[torch.Tensor]) -> np.ndarray:
    """The most probable class of each image, int64 (n,)."""
    model.eval()
    return torch.cat([model(images).argmax(1).cpu() for images in batches]).numpy()
