"""A model's forward and backward pass as one CUDA graph.

At the batch sizes of fine-tuning a GPU waits for Python to launch its kernels, hundreds in every
step. A graph launches them all at once.
"""

import logging
from collections.abc import Callable

import torch
from torch import nn

from headstart.compute import parallel
from headstart.compute.devices import Device

logger = logging.getLogger(__name__)

#: Images or features in, logits (n, K) out.
Network = Callable[[torch.Tensor], torch.Tensor]


def wrap(model: nn.Module, device: Device, resident: bool) -> Network:
    """What to call in training steps for the logits: graphed on one GPU, else the model itself.

    Args:
        resident: whether the inputs are on the device. Where a thread sends them there, nothing
            can be captured meanwhile.
    """
    if device.type == "cpu" or not resident or parallel.world() > 1:
        return model
    logger.info("steps: CUDA graph")
    return Graphed(model)


class Graphed:
    """A model in train mode; batches of a shape that comes twice in a row go through a graph.

    So the short last batch of an epoch does not, and images that grow get a new graph with each
    size. There is one graph at a time: each holds the memory of a whole step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._graph: Network | None = None
        self._graphed = self._last = torch.Size()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape == self._last != self._graphed:
            self._graph = None
            self._graph, self._graphed = _capture(self._model, images), images.shape
        self._last = images.shape
        if self._graph is None or images.shape != self._graphed:
            logits: torch.Tensor = self._model(images)
            return logits
        return self._graph(images)


class _Pass(nn.Module):
    """Stands for the model in the capture, which replaces the forward pass of what it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(images)
        return logits


def _capture(model: nn.Module, images: torch.Tensor) -> Network | None:
    """The graph, or None where the model has operations that cannot be captured.

    The passes that warm up the capture leave running statistics and random state as they were.
    """
    kept = [buffer.clone() for buffer in model.buffers()]
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    before = generator.clone_state()
    # The capture has a stream of its own, on which autograd then waits; torch warns of that.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    try:
        passed = _Pass(model)
        torch.cuda.make_graphed_callables(passed, (images.clone(),), allow_unused_input=True)
        generator.set_state(before.get_state())
        return passed
    except RuntimeError as error:
        logger.warning("no CUDA graph: %s", str(error).splitlines()[0])
        generator.graphsafe_set_state(before)  # the other waits for the end of the capture
        return None
    finally:
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)
