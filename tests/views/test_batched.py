"""Batched policies: which there are, and the flips that are part of their cut."""

import numpy as np
import pytest
from scipy import stats

from headstart.experiment.config import Transform
from headstart.views import augmentation, batched

IMAGE = {
    "size": 24,
    "resize": 32,
    "interpolation": "bilinear",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
FLIP = Transform("horizontal_flip", (("p", 0.5),))
RESIZED_CROP = Transform("random_resized_crop", (("ratio", (0.75, 1.3333)), ("scale", (0.08, 1.0))))
DRAWS = 4000


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
