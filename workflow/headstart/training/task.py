"""A network in training: all that the loop does not know about it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from headstart.compute import memory, parallel
from headstart.compute.devices import Device
from headstart.experiment.config import Phase, Training
from headstart.models import layers, layouts
from headstart.training import accumulation, graphs, strategies

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
        parts: in which batches go that may go in parts.
    """

    def __init__(
        self, model: nn.Module, loss: "Loss", settings: Training, device: Device, resident: bool
    ) -> None:
        """`resident` says whether a step's inputs are on the device before it begins."""
        self.model, self.loss, self.settings = model, loss, settings
        self.device, self._resident = device, resident
        self.parts = memory.Parts(device)
        self._look = memory.inferring(model, self.parts) if settings.in_parts else model
        if settings.in_parts:
            memory.keep_little(device)
        self._weights: State | None = None

    def begin(self, phase: Phase, steps_per_epoch: int) -> None:
        """Freeze what the phase does not train, and set out with a new optimizer for the rest."""
        self._norm = phase.norm
        self.parts.least = 2 if phase.norm == "batch" else 1  # one image has no statistics
        self.optimizer = strategies.begin_phase(self.model, phase)
        self.schedule = strategies.scheduler(self.optimizer, phase, steps_per_epoch)
        network = parallel.wrap(self.model)
        whole = self.parts.most is None
        self.network = graphs.wrap(network, self.device, self._resident) if whole else network

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
        differentiate = self._in_parts if self.settings.in_parts else self._at_once
        value, logits = differentiate(inputs, targets)
        if self.settings.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        return value, logits

    def _at_once(
        self, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Set the gradients of a batch's loss; returns it and the logits."""
        self.optimizer.zero_grad(set_to_none=True)
        return self._differentiate(
            inputs, targets, lambda share: parallel.gathered(share, len(targets))
        )

    def _in_parts(
        self, inputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, in as many parts as memory asks for."""
        restore = accumulation.remembered(self.model, self.device)

        def attempt(count: int) -> tuple[torch.Tensor, torch.Tensor]:
            self.optimizer.zero_grad(set_to_none=True)
            return accumulation.in_parts(self._differentiate, inputs, targets, count)

        def undo() -> None:
            restore()
            self.network = self.model  # a graph would keep the memory of the larger parts

        return self.parts.work(len(targets), attempt, undo)

    def _differentiate(
        self, inputs: torch.Tensor, targets: torch.Tensor, whole: accumulation.Whole
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradients that come from some inputs; returns the batch's loss and logits.

        Args:
            whole: makes of these inputs' logits those of the batch.
        """
        with layouts.autocast(self.device):
            logits = whole(self.network(inputs).float())
            value = self.loss(logits, targets)
        total = self.settings.loss_reduction == "sum"
        (value * len(targets) if total else value).backward()
        return value.detach(), logits.detach()

    def infer_mode(self) -> None:
        """Set the modes for validation."""
        self.model.eval()

    def infer(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) of the model that would be kept now."""
        with layouts.autocast(self.device):
            logits: torch.Tensor = self._look(inputs).float()
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
