"""The tutorial's way, frozen: what headstart is measured against.

ImageFolder and PIL, every image decoded and transformed again each epoch, fp32, NCHW, a frozen
backbone recomputed each epoch, `.item()` after every step. Nothing here is meant to be improved.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

CROP, CROP_FLIP, PLAIN = "random resized crop and flip", "crop and flip", "plain"


def loader(
    folder: Path,
    size: int,
    batch_size: int,
    view: str,
    workers: int = 0,
    chosen: Sequence[int] | None = None,
) -> DataLoader:
    """Shuffled batches of normalised fp32 images, decoded anew in every epoch."""
    larger = round(size / 0.875)
    steps = {
        CROP: [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()],
        CROP_FLIP: [
            transforms.Resize(larger),
            transforms.RandomCrop(size),
            transforms.RandomHorizontalFlip(),
        ],
        PLAIN: [transforms.Resize(larger), transforms.CenterCrop(size)],
    }[view]
    normalize = transforms.Normalize([0.5] * 3, [0.5] * 3)
    transform = transforms.Compose([*steps, transforms.ToTensor(), normalize])
    images = ImageFolder(str(folder), transform)
    data = images if chosen is None else Subset(images, chosen)
    return DataLoader(data, batch_size, shuffle=True, num_workers=workers)


def model(name: str, frozen: bool = False) -> nn.Module:
    """A two-class network; frozen, all but its last layer."""
    network = timm.create_model(name, pretrained=False, num_classes=2)
    if frozen:
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        for parameter in network.get_classifier().parameters():
            parameter.requires_grad_(True)
    return network


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    trainable = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.SGD(trainable, lr=1e-3, momentum=0.9)


def train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable,
    frozen: bool = False,
    device: str = "cpu",
    log: Callable[[float], None] = lambda loss: None,
) -> int:
    """Train on the batches, a frozen network in eval mode; returns the number of images."""
    network.train(not frozen)
    seen = 0
    for images, targets in batches:
        images, targets = images.to(device), targets.to(device)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        log(loss.item())
        seen += len(images)
    return seen


def evaluate(network: nn.Module, batches: Iterable) -> float:
    """Accuracy."""
    network.eval()
    correct = seen = 0
    with torch.no_grad():
        for images, targets in batches:
            correct += (network(images).argmax(1) == targets).sum().item()
            seen += len(images)
    return correct / seen


def deliver(batches: Iterable) -> int:
    """Read one epoch; returns the number of images."""
    return sum(len(images) for images, _ in batches)
