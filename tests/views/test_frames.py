"""Framings: torchvision's distributions of crops."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from headstart.views import frames

IMAGE = {"size": 24, "resize": 32}
SCALE, RATIO = (0.08, 1.0), (0.75, 1.3333)
DRAWS = 4000


@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (200, 300), (300, 160)])
def test_resized_crops_are_distributed_as_torchvisions(alike, height, width):
    torch.manual_seed(0)
    reference = v2.RandomResizedCrop(24, SCALE, RATIO)
    blank = torch.empty(3, height, width)
    drawn = [reference.make_params([blank]) for _ in range(DRAWS)]
    theirs = np.array([[d["top"], d["left"], d["height"], d["width"]] for d in drawn])
    sizes = np.tile([height, width], (DRAWS, 1))
    rng = np.random.default_rng(0)
    ours = frames.random_resized_crop(sizes, rng, IMAGE, SCALE, RATIO).boxes
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
    rng = np.random.default_rng(0)
    ours = frames.random_resized_crop(sizes, rng, IMAGE, (0.9, 1.0), RATIO).boxes
    assert ours[0].tolist() == [theirs[k] for k in ("top", "left", "height", "width")]


def test_random_crops_are_distributed_as_torchvisions():
    torch.manual_seed(0)
    reference = v2.RandomCrop(24, 4, padding_mode="reflect")
    drawn = [reference.make_params([torch.empty(3, 32, 40)]) for _ in range(DRAWS)]
    theirs = np.array([[d["top"] - 4, d["left"] - 4] for d in drawn])
    sizes = np.tile([64, 80], (DRAWS, 1))
    ours = frames.random_crop(sizes, np.random.default_rng(0), IMAGE, padding=4).windows
    for axis in (0, 1):
        counts = [np.unique(windows[:, axis], return_counts=True) for windows in (ours, theirs)]
        assert counts[0][0].tolist() == counts[1][0].tolist()
        assert stats.chi2_contingency([counts[0][1], counts[1][1]]).pvalue > 0.01
