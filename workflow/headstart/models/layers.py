"""Parts of networks: the head, the stages of the body, and what of them trains."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError
from headstart.experiment import config

if TYPE_CHECKING:
    from torch import nn


def head_name(model: "nn.Module") -> str:
    """Dotted name of the final linear layer, or of the `Neighbours` that took its place.

    Raises:
        HeadstartError: the model does not end in one linear layer.
    """
    from torch import nn

    from headstart.models.neighbours import Neighbours

    kinds = nn.Linear | Neighbours
    declared = getattr(model, "pretrained_cfg", {}).get("classifier")
    linears = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    name = declared if declared is not None else (linears or [None])[-1]
    if name not in linears:
        raise HeadstartError(
            f"backbone.name is {type(model).__name__}, which does not end in a single linear "
            "layer; choose another backbone"
        )
    return name


def detach_head(model: "nn.Module") -> "nn.Module":
    """Take the head off in place, so that the model returns pooled features (n, d)."""
    from torch import nn

    name = head_name(model)
    head = model.get_submodule(name)
    model.set_submodule(name, nn.Identity())
    return head


def new_head(num_features: int, num_classes: int) -> "nn.Linear":
    """A linear classifier with Xavier-uniform weights (Glorot & Bengio 2010) and zero bias."""
    from torch import nn

    head = nn.Linear(num_features, num_classes)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def stages(model: "nn.Module") -> list[list[str]]:
    """Parameter names of the body in groups from input to output; the head is left out.

    timm models bring their own grouping; otherwise each child module with parameters is a
    stage, and a child that holds most of the model is opened.
    """
    head = head_name(model) + "."
    declared: list[list[str]] | None = getattr(model, "declared_stages", None)
    if declared is not None:  # a part of a model, see `tails`
        return [[name for name in names if not name.startswith(head)] for names in declared]
    if hasattr(model, "group_matcher"):
        from timm.models import group_parameters

        matcher: Any = model.group_matcher
        grouped = group_parameters(model, matcher(coarse=True))
        groups = [
            [name for name in names if not name.startswith(head)] for names in grouped.values()
        ]
        return [names for names in groups if names]
    return [names for names in _child_groups(model, "", head) if names]


def _child_groups(module: "nn.Module", prefix: str, head: str) -> list[list[str]]:
    total = sum(1 for _ in module.parameters())
    groups = [[prefix + name for name, _ in module.named_parameters(recurse=False)]]
    for child_name, child in module.named_children():
        path = f"{prefix}{child_name}."
        names = [path + name for name, _ in child.named_parameters()]
        names = [name for name in names if not name.startswith(head)]
        if len(names) > 0.8 * total and len(list(child.children())) > 1:
            groups += _child_groups(child, path, head)
        else:
            groups.append(names)
    return groups


def freeze_all_but(model: "nn.Module", trainable: Sequence[str]) -> None:
    """Let only the named parameters train; no gradient of an earlier phase stays behind."""
    names = set(trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
        parameter.grad = None


def train_mode(model: "nn.Module", norm: str = "batch") -> None:
    """Train mode, but for wholly frozen modules: they stay in eval mode.

    A frozen BatchNorm in train mode would go on updating its running statistics.

    Args:
        norm: batch, or frozen: every BatchNorm layer keeps the statistics it came with, while
            scale and shift train on. A few batches estimate them worse than pretraining did.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        idle = parameters and not any(parameter.requires_grad for parameter in parameters)
        if idle or (norm == "frozen" and isinstance(module, _BatchNorm)):
            module.eval()


def trainable_names(model: "nn.Module", phase: config.Phase) -> tuple[list[str], list[str]]:
    """Names of the body's and of the head's parameters that `phase` trains.

    The low-rank parameters of a lora phase have names once they are there, see `adapters.add`.
    """
    from headstart.models import adapters

    prefix = head_name(model) + "."
    names = [name for name, _ in model.named_parameters()]
    head = [name for name in names if name.startswith(prefix)]
    if phase.train in ("head", "probe"):
        return [], head
    if phase.train == "all":
        return [name for name in names if not name.startswith(prefix)], head
    if phase.train == "lora":
        return adapters.low_rank_names(model), head
    if phase.train == "biases_and_norms":
        few = adapters.bias_and_norm_names(model)
        return [name for name in few if not name.startswith(prefix)], head
    groups = stages(model)
    if phase.stages is None or phase.stages > len(groups):
        raise HeadstartError(
            f"phases.stages is {phase.stages}, but the backbone has {len(groups)} stages"
        )
    return [name for group in groups[-phase.stages :] for name in group], head


def require_batch(
    model: "nn.Module", strategy: config.Strategy, shape: Sequence[int], sizes: Sequence[int]
) -> None:
    """Check that no BatchNorm layer has to train on a single value, which has no variance.

    Only a batch of one brings that about, and only where what the layer receives of an example
    is one value per channel.

    Args:
        shape: of the smallest example in training, such as (3, side, side).
        sizes: examples of each step.

    Raises:
        HeadstartError: a layer that some phase trains would get a single value.
    """
    if min(sizes) > 1:
        return
    phases = [phase for phase in strategy.phases if phase.norm == "batch"]
    trained = {name for phase in phases for name in trainable_names(model, phase)[0]}
    starved = [name for name in _single_valued(model, shape) if f"{name}.weight" in trained]
    if not starved:
        return
    if strategy.training.batch_size == 1:
        what, remedy = "training.batch_size is 1", "set it to 2 or more"
    else:
        what, remedy = "only one image trains", "add images or take a larger fraction"
    raise HeadstartError(
        f"{what}, but the network's BatchNorm layers, such as {starved[0]!r}, need two images to "
        f"train on; {remedy}"
    )


def _single_valued(model: "nn.Module", shape: Sequence[int]) -> list[str]:
    """Names of the BatchNorm layers that receive one value per channel of an example."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    found: list[str] = []

    def watch(name: str) -> "Callable[[nn.Module, tuple[torch.Tensor, ...]], None]":
        def hook(module: "nn.Module", inputs: "tuple[torch.Tensor, ...]") -> None:
            if inputs[0].numel() == inputs[0].shape[1]:
                found.append(name)

        return hook

    norms = [(name, m) for name, m in model.named_modules() if isinstance(m, _BatchNorm)]
    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in norms]
    training, device = model.training, next(model.parameters()).device
    with torch.inference_mode():
        model.eval()(torch.zeros(1, *shape, device=device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return found
