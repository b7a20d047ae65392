"""Parts of networks: the head, the stages of the body, and what of them trains."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError
from headstart.experiment import config

if TYPE_CHECKING:
    from torch import nn


def head_name(model: "nn.Module") -> str:
    """Dotted name of the final linear layer.

    Raises:
        HeadstartError: the model does not end in one linear layer.
    """
    from torch import nn

    declared = getattr(model, "pretrained_cfg", {}).get("classifier")
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
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


def train_mode(model: "nn.Module") -> None:
    """Train mode, but for wholly frozen modules: they stay in eval mode.

    A frozen BatchNorm in train mode would go on updating its running statistics.
    """
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def trainable_names(model: "nn.Module", phase: config.Phase) -> tuple[list[str], list[str]]:
    """Names of the body's and of the head's parameters that `phase` trains."""
    prefix = head_name(model) + "."
    names = [name for name, _ in model.named_parameters()]
    head = [name for name in names if name.startswith(prefix)]
    if phase.train in ("head", "probe"):
        return [], head
    if phase.train == "all":
        return [name for name in names if not name.startswith(prefix)], head
    groups = stages(model)
    if phase.stages is None or phase.stages > len(groups):
        raise HeadstartError(
            f"phases.stages is {phase.stages}, but the backbone has {len(groups)} stages"
        )
    return [name for group in groups[-phase.stages :] for name in group], head
