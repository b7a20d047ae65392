"""A network in training: all that the loop does not know about it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from headstart.compute import parallel
from headstart.compute.devices import Device
from headstart.experiment.config import Phase, Training
from headstart.models import layers, layouts
from headstart.training import graphs, strategies

if TYPE_CHECKING:
    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    State = dict[str, torch.Tensor]


class Task:
    """What a phase trains of a network, how a step is made, what is validated and what is kept.

    The loop calls these methods and nothing else of a network. What changes how networks train
    (an average of the weights, frozen statistics, low-rank adapters) is a subclass that overrides
    the methods concerned; `inputs.prepare` chooses it.

    Attributes:
        model: on the device; after the last epoch it holds that epoch's weights.
    """

    def __init__(
        self, model: nn.Module, loss: "Loss", settings: Training, device: Device, resident: bool
    ) -> None:
        """`resident` says whether a step's inputs are on the device before it begins."""
        self.model, self.loss, self.settings = model, loss, settings
        self.device, self._resident = device, resident
        self._weights: State | None = None

    def begin(self, phase: Phase, steps_per_epoch: int) -> None:
        """Freeze what the phase does not train, and set out with a new optimizer for the rest."""
        self._norm = phase.norm
        self.optimizer = strategies.begin_phase(self.model, phase)
        self.schedule = strategies.scheduler(self.optimizer, phase, steps_per_epoch)
        network = parallel.wrap(self.model)
        self.network = graphs.wrap(network, self.device, self._resident)

    @property
    def lr(self) -> float:
        """The learning rate of the next step, of the body where it trains."""
        return float(self.optimizer.param_groups[0]["lr"])

    def train_mode(self) -> None:
        """Set the modes for training steps."""
        layers.train_mode(self.model, self._norm)

    def step(
        self, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Train on a batch; returns its loss and logits (n, K), cut off from the graph.

        No part of one step's graph may live on into the next, which could not be captured then.

        Args:
            inputs: this process's share of the batch.
            targets: of the whole batch, class indices (n,) or soft targets (n, K).
        """
        self._weights = None
        self.optimizer.zero_grad(set_to_none=True)
        with layouts.autocast(self.device):
            logits = parallel.gathered(self.network(inputs).float(), len(targets))
            value = self.loss(logits, targets)
        total = self.settings.loss_reduction == "sum"
        (value * len(targets) if total else value).backward()
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        return value.detach(), logits.detach()

    def infer_mode(self) -> None:
        """Set the modes for validation."""
        self.model.eval()

    def infer(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) of the model that would be kept now."""
        with layouts.autocast(self.device):
            logits: torch.Tensor = self.model(inputs).float()
        return logits

    def kept(self) -> "State":
        """The state dict of the model that would be kept now, on the CPU."""
        return self._snapshot()

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on within the phase, on the CPU where large."""
        return {
            "model": self._snapshot(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the phase that has begun."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self._weights = None

    def _snapshot(self) -> "State":
        """The weights, copied once between two steps, so that a saved copy is shared."""
        if self._weights is None:
            tensors = self.model.state_dict().items()
            self._weights = {name: value.detach().cpu().clone() for name, value in tensors}
        return self._weights
