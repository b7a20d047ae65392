"""Training where memory runs out; as a process of its own it bounds its address space.

python short_of_memory.py STRATEGIES MEGABYTES RESULT
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
from headstart.compute.devices import CPU, Device
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


def main(strategies: Path, megabytes: int, result: Path) -> None:
    """Train each strategy with so much memory left, then the first with any."""
    torch.set_num_threads(1)
    network()(torch.zeros(2, 3, 16, 16)).sum().backward()  # loads what a step needs
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    given = pickle.loads(strategies.read_bytes())
    made = []
    for room in (used + megabytes * 2**20, resource.RLIM_INFINITY):
        resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
        for strategy in given:
            resume = result.with_name(f"{len(made)}.resume")
            try:
                made.append(trained(strategy, CPU, resume))
            except HeadstartError as error:
                made.append({"error": str(error)})
        given = given[:1]
    torch.save(made, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
