"""Training on as little memory as a caller leaves; as a process of its own, on little of the CPU's.

python short_of_memory.py STRATEGY MEGABYTES RESULT
"""

import pickle
import resource
import sys
from pathlib import Path
from typing import ClassVar

import torch
from small_training import fit
from torch import nn

from headstart import HeadstartError
from headstart.compute.devices import Device
from headstart.experiment import config


class Large:
    """A batch of 16 images; a training step of `network` takes some 200 MB for them."""

    sizes: ClassVar = [16, 13]
    resident = False

    def __init__(self, device: str) -> None:
        self.device = device

    def train(self, epoch: int):
        draws = torch.Generator().manual_seed(epoch)
        for size in self.sizes:
            images = torch.randn(size, 3, 128, 128, generator=draws)
            yield images.to(self.device), (torch.arange(size) % 2).to(self.device)

    def val(self):
        return self.train(0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 2),
    )


def trained(strategy: config.Strategy, device: Device, resume: Path) -> dict:
    """The weights after training, and how many images memory held at once."""
    batches, model = Large(device.type), network().to(device.type)
    model, progress = fit(batches, strategy, device, resume, model=model)
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    return {"weights": weights, "at_once": progress.at_once}


def main(strategy: Path, megabytes: int, result: Path) -> None:
    torch.set_num_threads(1)
    network()(torch.zeros(2, 3, 16, 16)).sum().backward()  # loads what a step needs
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))
    try:
        made = trained(
            pickle.loads(strategy.read_bytes()),
            Device("cpu", "little CPU", "", "fp32", 1),
            result.with_suffix(".resume"),
        )
    except HeadstartError as error:
        made = {"error": str(error)}
    torch.save(made, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
