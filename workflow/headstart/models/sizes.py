"""Networks that are made for images of one size, vision transformers above all, at another.

Their weights hold one number for each place in the image: position embeddings, and the biases
between the places of a window. These are resampled; nothing else changes.
"""

from typing import Any

from headstart import HeadstartError


def option(model: Any, size: int) -> dict[str, int]:
    """The argument with which the model's own library makes it for images of `size`.

    Empty for a network that is made for that size, takes any, or takes one size alone.

    Args:
        model: as its library makes it without that argument.
    """
    usual = None
    if _is_torchvision(model):
        usual = model.image_size
    elif hasattr(model, "set_input_size"):
        usual = model.pretrained_cfg["input_size"][-1]
    if usual in (None, size):
        return {}
    return {"image_size" if _is_torchvision(model) else "img_size": size}


def change(model: Any, name: str, size: int) -> None:
    """Let the network take images of `size`, in place, where it is made for another.

    It is then the library's own network for that size, see `option`, with resampled weights.

    Args:
        model: as its library makes it without that option.
        name: of the network, for an error.

    Raises:
        HeadstartError: the network's patches do not divide the size.
    """
    if not option(model, size):
        return
    _require_patches(model, name, size)
    if _is_torchvision(model):
        _change_torchvision(model, size)
        return
    # by default timm scales Swin's windows with the image, but not in a Swin made for that size
    windows = getattr(model, "_ref_window_sizes", None)
    kept = {"window_size": windows} if windows else {}
    model.set_input_size(img_size=(size, size), **kept)


def _is_torchvision(model: Any) -> bool:
    from torchvision.models import VisionTransformer

    return isinstance(model, VisionTransformer)


def _change_torchvision(model: Any, size: int) -> None:
    from timm.layers import resample_abs_pos_embed
    from torch import nn

    side = size // model.patch_size
    resampled = resample_abs_pos_embed(model.encoder.pos_embedding, [side, side])
    model.encoder.pos_embedding = nn.Parameter(resampled)
    model.image_size, model.seq_length = size, side**2 + 1


def _require_patches(model: Any, name: str, size: int) -> None:
    embed: Any = getattr(model, "patch_embed", None)
    own = embed.feat_ratio() if hasattr(embed, "feat_ratio") else 1
    side = model.patch_size if _is_torchvision(model) else own
    if size % side == 0:
        return
    below = size - size % side
    near = [str(fitting) for fitting in (below, below + side) if fitting]
    raise HeadstartError(
        f"image.size is {size}, which the patches of {name}, {side} pixels wide, do not divide; "
        f"the nearest that {'fit are' if below else 'fits is'} {' and '.join(near)}"
    )
