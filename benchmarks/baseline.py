"""The tutorial's way, frozen: what headstart is measured against.

ImageFolder and PIL, every image decoded and transformed again each epoch, fp32, NCHW, a frozen
backbone recomputed each epoch, `.item()` after every step. Nothing here is meant to be improved.
"""

from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder


def loader(folder: Path, size: int, batch_size: int, crop: bool) -> DataLoader:
    """Training batches of normalised fp32 images, decoded anew in every epoch."""
    frame = (
        [transforms.RandomResizedCrop(size)]
        if crop
        else [transforms.Resize(size), transforms.CenterCrop(size)]
    )
    steps = [*frame, transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    normalise = transforms.Normalize([0.5] * 3, [0.5] * 3)
    data = ImageFolder(str(folder), transforms.Compose([*steps, normalise]))
    return DataLoader(data, batch_size, shuffle=True)


def model(name: str, classes: int) -> nn.Module:
    return timm.create_model(name, pretrained=False, num_classes=classes)


def train_steps(network: nn.Module, batches: Iterator, frozen: bool, steps: int) -> int:
    """Train for some steps; returns the number of images seen."""
    head = network.get_classifier()
    if frozen:
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        for parameter in head.parameters():
            parameter.requires_grad_(True)
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=1e-3, momentum=0.9)
    network.train()
    seen, running = 0, 0.0
    for _, (images, targets) in zip(range(steps), batches, strict=False):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        running += loss.item()
        seen += len(images)
    return seen


def deliver(batches: Iterator) -> int:
    """Read one epoch; returns the number of images."""
    return sum(len(images) for images, _ in batches)


def write_photographs(source: list[Path], folder: Path, labels: list[str]) -> None:
    """The benchmark's images as JPEG files in class folders."""
    for path, label in zip(source, labels, strict=True):
        (folder / label).mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.convert("RGB").save(folder / label / f"{path.stem}.jpg", quality=92)
