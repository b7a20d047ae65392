"""The time that a process spends in training steps, whoever's loop it runs."""

import time
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook


class StepTimer:
    """Seconds from the first layer's forward pass to the end of the optimizer's step, added up.

    That is forward, loss, backward, gradient clipping and update. Outside of it stay batches,
    schedules, validation, logging and everything before and after the training. On a CPU only:
    a GPU's work would have to be waited for.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started: float | None = None
        register_module_forward_pre_hook(self._forward)
        register_optimizer_step_post_hook(self._stepped)

    def _forward(self, module: nn.Module, inputs: Any) -> None:
        if module.training and self._started is None:
            self._started = time.perf_counter()

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None
