"""Augmentation: shapes, order, seeds, and the backbone's own framing."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from headstart.experiment.config import Transform
from headstart.views import augmentation

CONFIG = {
    "size": 24,
    "resize": 32,
    "interpolation": "bicubic",
    "crop_pct": 0.75,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "cache_size": 32,
}
EACH = {
    "horizontal_flip": Transform("horizontal_flip", (("p", 0.5),)),
    "vertical_flip": Transform("vertical_flip", (("p", 0.5),)),
    "random_resized_crop": Transform(
        "random_resized_crop", (("ratio", (0.75, 1.3333)), ("scale", (0.08, 1.0)))
    ),
    "random_crop": Transform("random_crop", (("padding", 4),)),
    "color_jitter": Transform(
        "color_jitter",
        (("brightness", 0.4), ("contrast", 0.4), ("hue", 0.1), ("saturation", 0.4)),
    ),
    "rotation": Transform("rotation", (("degrees", 30),)),
    "rand_augment": Transform("rand_augment", (("magnitude", 9), ("operations", 2))),
    "trivial_augment": Transform("trivial_augment"),
}


def picture(height: int, width: int) -> torch.Tensor:
    """A smooth picture with a different course in each direction and channel."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 5), np.cos(y / 7), np.sin((x + y) / 9)]
    return torch.from_numpy((np.stack(waves) * 100 + 128).astype(np.uint8))


def draw(transforms: list[Transform], image: torch.Tensor, seed: int = 0, **config) -> torch.Tensor:
    transform = augmentation.training_transform(transforms, CONFIG | config)
    torch.manual_seed(seed)
    return transform(image)


def test_every_transform_of_the_schema_is_here():
    import yaml

    from headstart.experiment.schema import SCHEMA

    schema = yaml.safe_load(SCHEMA.read_text())["$defs"]["augmentation"]
    assert schema["items"]["properties"]["name"]["enum"] == [*EACH, *augmentation.MIXING]


@pytest.mark.parametrize("shape", [(32, 32), (60, 32), (32, 97), (9, 12), (200, 130), (16, 300)])
@pytest.mark.parametrize("name", EACH)
def test_output_is_a_uint8_square(name, shape):
    for seed in range(5):
        made = draw([EACH[name]], picture(*shape), seed)
        assert made.shape == (3, 24, 24) and made.dtype == torch.uint8


def test_the_empty_policy_is_the_evaluation_transform():
    plain = augmentation.evaluation_transform(CONFIG)
    for shape in [(32, 32), (60, 33), (9, 12)]:
        assert torch.equal(draw([], picture(*shape)), plain(picture(*shape)))


@pytest.mark.parametrize("name", EACH)
def test_the_seed_decides(name):
    image = picture(40, 50)
    one, same = draw([EACH[name]], image, 1), draw([EACH[name]], image, 1)
    assert torch.equal(one, same)
    assert any(not torch.equal(one, draw([EACH[name]], image, seed)) for seed in range(2, 12))


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 2), ("vertical_flip", 1)])
def test_a_certain_flip_flips_and_an_impossible_one_does_not(name, axis):
    plain = draw([], picture(40, 50))
    for seed in range(5):
        certain = draw([Transform(name, (("p", 1.0),))], picture(40, 50), seed)
        never = draw([Transform(name, (("p", 0.0),))], picture(40, 50), seed)
        assert torch.equal(certain, plain.flip(axis)) and torch.equal(never, plain)


def test_transforms_apply_in_their_order():
    flip = Transform("horizontal_flip", (("p", 1.0),))
    crop = Transform("random_crop", (("padding", 4),))
    image = picture(40, 50)
    assert torch.equal(draw([crop, flip], image, 3), draw([crop], image, 3).flip(2))
    before = draw([flip, crop], image, 3)
    alone = augmentation.training_transform([crop], CONFIG)
    torch.manual_seed(3)
    torch.rand(1)  # the flip's own draw, which comes first
    assert torch.equal(before, alone(image.flip(2)))


def test_a_random_crop_replaces_the_centre_crop():
    image = torch.arange(32, dtype=torch.uint8).repeat(3, 32, 1)
    starts = {
        int(draw([Transform("random_crop", (("padding", 0),))], image, s)[0, 0, 0])
        for s in range(60)
    }
    assert starts == set(range(9))
    assert int(augmentation.evaluation_transform(CONFIG)(image)[0, 0, 0]) == 4


def test_a_resized_crop_of_everything_is_a_resize():
    whole = Transform("random_resized_crop", (("ratio", (1.0, 1.0)), ("scale", (1.0, 1.0))))
    made = draw([whole], picture(60, 60), interpolation="bilinear").numpy().astype(int)
    pixels = picture(60, 60).permute(1, 2, 0).numpy()
    wanted = np.asarray(Image.fromarray(pixels).resize((24, 24), Image.Resampling.BILINEAR))
    assert abs(made.transpose(1, 2, 0) - wanted).max() <= 1


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(64, 64), (90, 64), (50, 77), (20, 30)])
def test_evaluation_frames_as_timm_does(interpolation, shape):
    image = picture(*shape)
    made = augmentation.evaluation_transform(CONFIG | {"interpolation": interpolation})(image)
    timms = create_transform(
        (3, 24, 24), interpolation=interpolation, crop_pct=0.75, mean=(0, 0, 0), std=(1, 1, 1)
    )
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy())
    wanted = (timms(pillow) * 255).round()
    difference = (made.float() - wanted).abs()
    if interpolation == "nearest":  # the two round a coordinate that falls between two pixels
        assert difference.median() <= 16
    else:
        assert difference.max() <= 2


def test_a_rotation_stays_within_its_degrees():
    ramp = picture(32, 32)
    plain = draw([], ramp)
    slight = draw([Transform("rotation", (("degrees", 0.1),))], ramp).int()
    assert (slight - plain.int()).abs().max() < 20


def test_flipped_gives_every_combination_and_the_plain_view_first():
    image = torch.arange(12, dtype=torch.float32).reshape(1, 3, 2, 2)
    views = list(augmentation.flipped(image, ["horizontal", "vertical"]))
    wanted = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    assert len(views) == 4 and all(map(torch.equal, views, wanted))
    assert [view is image for view in augmentation.flipped(image, [])] == [True]
