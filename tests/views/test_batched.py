"""Batched transforms: torchvision's distributions, and its pixels for the same parameters."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from headstart.experiment.config import Transform
from headstart.views import augmentation, batched

IMAGE = {
    "size": 24,
    "resize": 32,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
SCALE, RATIO = (0.08, 1.0), (0.75, 1.3333)
FLIP = Transform("horizontal_flip", (("p", 0.5),))
RESIZED_CROP = Transform("random_resized_crop", (("ratio", RATIO), ("scale", SCALE)))
JITTER = {"brightness": 0.4, "contrast": 0.5, "saturation": 0.6, "hue": 0.3}
DRAWS = 4000


def pictures(n: int, side: int = 24) -> torch.Tensor:
    """Smooth coloured pictures, all different, uint8 (n, 3, side, side)."""
    y, x = np.mgrid[0:side, 0:side]
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(0, 0.4, (3, n, 3, 1, 1))
    waves = np.sin(a * x + b * y + 20 * c) * 100 + 128
    return torch.from_numpy(waves.astype(np.uint8))


def alike(one, other) -> bool:
    """Whether two samples may come from one distribution (Kolmogorov and Smirnov)."""
    return stats.ks_2samp(one, other).pvalue > 0.01


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (200, 300), (300, 160)])
def test_resized_crops_are_distributed_as_torchvisions(height, width):
    torch.manual_seed(0)
    reference = v2.RandomResizedCrop(24, SCALE, RATIO)
    blank = torch.empty(3, height, width)
    drawn = [reference.make_params([blank]) for _ in range(DRAWS)]
    theirs = np.array([[d["top"], d["left"], d["height"], d["width"]] for d in drawn])
    sizes = np.tile([height, width], (DRAWS, 1))
    frames = batched.random_resized_crop(sizes, np.random.default_rng(0), IMAGE, SCALE, RATIO)
    ours = frames.boxes
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= sizes).all()
    for measure in (
        lambda box: box[:, 2] * box[:, 3],
        lambda box: np.log(box[:, 3] / box[:, 2]),
        lambda box: box[:, 0],
        lambda box: box[:, 1],
    ):
        assert alike(measure(ours), measure(theirs))


@pytest.mark.parametrize(("height", "width"), [(16, 300), (300, 16)])
def test_where_no_crop_fits_the_central_one_is_taken_as_by_torchvision(height, width):
    reference = v2.RandomResizedCrop(24, (0.9, 1.0), RATIO)
    theirs = reference.make_params([torch.empty(3, height, width)])
    sizes = np.array([[height, width], [64, 64]])
    frames = batched.random_resized_crop(sizes, np.random.default_rng(0), IMAGE, (0.9, 1.0), RATIO)
    assert frames.boxes[0].tolist() == [theirs[k] for k in ("top", "left", "height", "width")]


def test_random_crops_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    reference = v2.RandomCrop(24, 4, padding_mode="reflect")
    drawn = [reference.make_params([torch.empty(3, 32, 40)]) for _ in range(DRAWS)]
    theirs = np.array([[d["top"] - 4, d["left"] - 4] for d in drawn])
    sizes = np.tile([64, 80], (DRAWS, 1))
    ours = batched.random_crop(sizes, np.random.default_rng(0), IMAGE, padding=4).windows
    for axis in (0, 1):
        counts = [np.unique(windows[:, axis], return_counts=True) for windows in (ours, theirs)]
        assert counts[0][0].tolist() == counts[1][0].tolist()
        assert stats.chi2_contingency([counts[0][1], counts[1][1]]).pvalue > 0.01


class Whole:
    """Stands for cached images: hands out how they are to be cut."""

    def sizes(self, rows):
        return np.full((len(rows), 2), 32)

    def cut(self, rows, frames, interpolation):
        return frames


@pytest.mark.parametrize("names", [["horizontal_flip"], ["horizontal_flip", "vertical_flip"]])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_each_image_is_flipped_with_its_own_probability(names, p):
    policy = [Transform(name, (("p", p),)) for name in names]
    made = batched.build(policy, IMAGE)(Whole(), np.arange(DRAWS), np.random.default_rng(0))
    vertical, horizontal = made.flips.T
    assert stats.binomtest(int(horizontal.sum()), DRAWS, p).pvalue > 0.01
    assert stats.binomtest(int(vertical.sum()), DRAWS, p * (len(names) - 1)).pvalue > 0.01
    both = int((horizontal & vertical).sum())
    assert stats.binomtest(both, DRAWS, p * p * (len(names) - 1)).pvalue > 0.01


def test_of_two_flips_one_way_one_undoes_the_other():
    policy = [Transform("vertical_flip", (("p", p),)) for p in (1.0, 0.25)]
    made = batched.build(policy, IMAGE)(Whole(), np.arange(DRAWS), np.random.default_rng(0))
    assert stats.binomtest(int(made.flips[:, 0].sum()), DRAWS, 0.75).pvalue > 0.01


@pytest.mark.parametrize("name", JITTER)
def test_jitter_factors_are_distributed_as_torchvisions(name):
    torch.manual_seed(0)
    for width in (JITTER[name], 0.5):
        reference = v2.ColorJitter(**{name: width})
        theirs = [reference.make_params([])[f"{name}_factor"] for _ in range(DRAWS)]
        assert alike(batched.jitter_factors(np.random.default_rng(0), DRAWS, name, width), theirs)


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
def test_pictures_are_distributed_as_torchvisions(transform, reference):
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
    adjust, reference = getattr(batched, name), getattr(F, f"adjust_{name}")
    made = adjust(images, torch.tensor(factors).view(4, 1, 1, 1)).int()
    wanted = torch.stack(list(map(reference, images, factors)))
    assert (made - wanted.int()).abs().max() <= 1
    assert (made - wanted.int()).abs().float().mean() < 0.05


def test_rotation_gives_torchvisions_pixels():
    angles = [-170.0, -45.0, 1.0, 33.0, 100.0]
    images = pictures(5)
    made = batched.rotated(images, torch.tensor(angles)).int()
    bilinear = InterpolationMode.BILINEAR
    wanted = torch.stack(
        [F.rotate(image, a, bilinear, fill=0) for image, a in zip(images, angles, strict=True)]
    )
    assert (made - wanted.int()).abs().max() <= 1


def test_only_policies_of_batched_transforms_have_a_batched_form():
    jitter, rotation = Transform("color_jitter"), Transform("rotation", (("degrees", 9),))
    crop = Transform("random_crop", (("padding", 4),))
    for policy in ([], [FLIP], [RESIZED_CROP, FLIP], [FLIP, crop], [crop, jitter, rotation]):
        assert augmentation.training_transform(policy, IMAGE).batched is not None
    others = [Transform("rand_augment", (("magnitude", 9), ("operations", 2)))]
    for policy in (others, [jitter, crop], [crop, RESIZED_CROP], [RESIZED_CROP, *others]):
        assert augmentation.training_transform(policy, IMAGE).batched is None
    assert augmentation.evaluation_transform(IMAGE).batched is not None
    mixup = Transform("mixup", (("alpha", 1.0),))  # applies to batches anyway
    assert augmentation.training_transform([mixup], IMAGE).batched is not None
