"""Changes of batches: torchvision's pixels for the same parameters, drawn as torchvision does."""

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from headstart.experiment.config import Transform
from headstart.views import batched, changes

IMAGE = {"size": 24, "resize": 32, "interpolation": "bilinear"}
JITTER = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.6, "hue": 0.3}
DRAWS = 4000


def pictures(n: int, side: int = 24) -> torch.Tensor:
    """Smooth coloured pictures, all different, uint8 (n, 3, side, side)."""
    y, x = np.mgrid[0:side, 0:side]
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(0, 0.4, (3, n, 3, 1, 1))
    waves = np.sin(a * x + b * y + 20 * c) * 100 + 128
    return torch.from_numpy(waves.astype(np.uint8))


@pytest.mark.parametrize("name", JITTER)
def test_jitter_factors_are_distributed_as_torchvisions(alike, name):
    torch.manual_seed(0)
    for width in (JITTER[name], 0.5):
        reference = v2.ColorJitter(**{name: width})
        theirs = [reference.make_params([])[f"{name}_factor"] for _ in range(DRAWS)]
        assert alike(changes.jitter_factors(np.random.default_rng(0), DRAWS, name, width), theirs)


@pytest.mark.parametrize(
    ("transform", "reference"),
    [
        (Transform("color_jitter", tuple(JITTER.items())), v2.ColorJitter(**JITTER)),
        (
            Transform("rotation", (("degrees", 40),)),
            v2.RandomRotation(40, InterpolationMode.BILINEAR),
        ),
    ],
)
def test_pictures_are_distributed_as_torchvisions(alike, transform, reference):
    """Brightest, darkest and mean value of one picture, drawn many times."""
    torch.manual_seed(0)
    (step,) = batched.build([transform], IMAGE).steps
    image = pictures(1)[0]
    ours = step(image.repeat(1500, 1, 1, 1), np.random.default_rng(0))
    theirs = torch.stack([reference(image) for _ in range(1500)])
    for measure in (
        lambda views: views.float().mean((1, 2, 3)),
        lambda views: views[:, 0].float().std((1, 2)),
        lambda views: views[:, 2, 4].float().mean(1),
    ):
        assert alike(measure(ours), measure(theirs))


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("brightness", [0.0, 0.5, 1.0, 1.7]),
        ("contrast", [0.0, 0.5, 1.0, 1.7]),
        ("saturation", [0.0, 0.5, 1.0, 1.7]),
        ("hue", [-0.5, -0.2, 0.0, 0.31]),
    ],
)
def test_adjustments_give_torchvisions_pixels(name, factors):
    images = torch.cat([pictures(3), pictures(1)[:, :1].repeat(1, 3, 1, 1)])
    adjust, reference = getattr(changes, name), getattr(F, f"adjust_{name}")
    made = adjust(images, torch.tensor(factors).view(4, 1, 1, 1)).int()
    wanted = torch.stack(list(map(reference, images, factors)))
    assert (made - wanted.int()).abs().max() <= 1
    assert (made - wanted.int()).abs().float().mean() < 0.05


def test_rotation_gives_torchvisions_pixels():
    angles = [-170.0, -45.0, 1.0, 33.0, 100.0]
    images = pictures(5)
    made = changes.rotated(images, torch.tensor(angles)).int()
    bilinear = InterpolationMode.BILINEAR
    wanted = torch.stack(
        [F.rotate(image, a, bilinear, fill=0) for image, a in zip(images, angles, strict=True)]
    )
    assert (made - wanted.int()).abs().max() <= 1
