"""Phases that train few parameters beside the head: low-rank changes, or biases and norms."""

from typing import TYPE_CHECKING

from torch import nn

from headstart.compute.devices import Device
from headstart.experiment.config import Phase, Strategy, Training
from headstart.models import adapters, layers
from headstart.training.task import Task

if TYPE_CHECKING:
    from headstart.training.losses import Loss
    from headstart.training.task import State

#: The values of phases.train that need an `Adapted`.
KINDS = frozenset({"lora", "biases_and_norms"})


def require_layers(model: nn.Module, strategy: Strategy) -> None:
    """Raise HeadstartError when a phase is to change weights that the network does not have."""
    if any(phase.train == "lora" for phase in strategy.phases):
        adapters.adaptable(model, layers.head_name(model))


class Adapted(Task):
    """Trains low-rank changes of the body's weights (lora), or its biases and norms, in their turn.

    What is kept is the plain network with the changes merged. Other phases train as those of a
    `Task`.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: "Loss",
        settings: Training,
        device: Device,
        resident: bool,
        seed: int,
    ) -> None:
        """`seed` is the run's, from which the low-rank changes are drawn; the rest as a `Task`."""
        super().__init__(model, loss, settings, device, resident)
        self._seed = seed

    def begin(self, phase: Phase, steps_per_epoch: int) -> None:
        """Merge the changes of an earlier phase, and put new ones where this phase trains them."""
        self._kind, self._weights = phase.train, None
        adapters.merge(self.model)
        if phase.train == "lora":
            adapters.add(self.model, layers.head_name(self.model), phase.rank, self._seed)
        super().begin(phase, steps_per_epoch)

    def kept(self) -> "State":
        """The state dict, changes merged, under the network's own names."""
        return adapters.merged_state(self.model) if self._kind == "lora" else super().kept()
