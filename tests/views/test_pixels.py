"""Views of cached images: the same pixels from the memory map and from the device."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from headstart.experiment.config import Transform
from headstart.views import augmentation, frames
from headstart.views.batches import Examples, ImageBatches, Policy, Sampling
from headstart.views.pixels import Mapped, Resident
from headstart.views.reader import Normalizer, Reader

IMAGE = {
    "size": 24,
    "resize": 32,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
FLIP = Transform("horizontal_flip", (("p", 0.5),))
CROP = Transform("random_crop", (("padding", 4),))
RESIZED_CROP = Transform("random_resized_crop", (("ratio", (0.75, 1.33)), ("scale", (0.2, 1.0))))
JITTER = Transform("color_jitter", (("brightness", 0.4), ("hue", 0.1)))
ROTATION = Transform("rotation", (("degrees", 20.0),))


def difference(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.int() - other.int()).abs().float()


def batches_of(images, device, policy, sizes=(24,)) -> ImageBatches:
    """Batches whose training images have the given sizes, one after the other."""
    rows = {"train": np.arange(2, 12), "val": np.arange(2)}
    reader = Reader(images, Normalizer(IMAGE, device))
    scaled = [augmentation.resized(IMAGE, size) for size in sizes]
    shown = Policy(
        train=[augmentation.training_transform(policy, image) for image in scaled],
        val=augmentation.evaluation_transform(IMAGE),
    )
    return ImageBatches(reader, Examples(rows, rows), shown, Sampling(4, "uniform", 7))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_evaluation_view_is_that_of_single_images(make_cache, device, interpolation):
    cache = make_cache()
    view = augmentation.evaluation_transform(IMAGE | {"interpolation": interpolation})
    rows, rng = np.array([3, 1, 4, 0, 5, 2]), np.random.default_rng(0)
    single = torch.stack([view(Mapped(cache).one(row)) for row in rows])
    assert torch.equal(view.batched(Mapped(cache), rows, rng), single)
    resident = view.batched(Resident(cache, device), rows, rng).cpu()
    assert resident.is_contiguous(memory_format=torch.channels_last)
    assert difference(resident, single).max() <= (0 if interpolation == "nearest" else 1)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_resized_crops_have_torchvisions_pixels(make_cache, device, interpolation):
    cache = make_cache()
    rows = np.arange(len(cache))
    framed = frames.random_resized_crop(
        cache.sizes, np.random.default_rng(0), IMAGE, (0.08, 1.0), (0.75, 1.33)
    )
    mode = InterpolationMode(interpolation)
    wanted = torch.stack(
        [
            F.resized_crop(Mapped(cache).one(row), *box, [24, 24], mode, antialias=True)
            for row, box in zip(rows, framed.boxes.tolist(), strict=True)
        ]
    )
    assert torch.equal(Mapped(cache).cut(rows, framed, interpolation), wanted)
    resident = difference(Resident(cache, device).cut(rows, framed, interpolation).cpu(), wanted)
    assert resident.mean() < 0.1 and resident.max() <= 2


def test_random_crops_have_torchvisions_pixels(make_cache, device):
    cache = make_cache([(32, 32), (32, 50), (40, 32)])
    rows = np.arange(3).repeat(20)
    framed = frames.random_crop(cache.sizes[rows], np.random.default_rng(0), IMAGE, padding=4)
    padded = [F.pad(Mapped(cache).one(row), [4] * 4, padding_mode="reflect") for row in rows]
    wanted = torch.stack(
        [
            image[:, top + 4 : top + 28, left + 4 : left + 28]
            for image, (top, left) in zip(padded, framed.windows, strict=True)
        ]
    )
    assert (framed.windows < 0).any() and (framed.windows > 8).any()
    for images in (Mapped(cache), Resident(cache, device)):
        assert torch.equal(images.cut(rows, framed, "bilinear").cpu(), wanted)


@pytest.mark.parametrize("axes", [(2,), (1,), (1, 2)])
def test_flips_are_torchs(make_cache, device, axes):
    cache = make_cache()
    rows = np.arange(len(cache))
    framed = frames.random_crop(cache.sizes, np.random.default_rng(0), IMAGE, padding=4)
    flipped = replace(framed, flips=np.tile([1 in axes, 2 in axes], (len(rows), 1)))
    for images in (Mapped(cache), Resident(cache, device)):
        wanted = images.cut(rows, framed, "bilinear").flip([axis + 1 for axis in axes])
        assert torch.equal(images.cut(rows, flipped, "bilinear"), wanted)


@pytest.mark.parametrize(
    "policy", [[], [FLIP], [CROP, FLIP], [RESIZED_CROP, FLIP], [RESIZED_CROP, JITTER, ROTATION]]
)
def test_streamed_and_resident_images_give_the_same_batches(make_cache, device, policy):
    """So a run may resume on another machine, where the set fits or does not."""
    cache = make_cache()
    streamed, resident = (
        batches_of(images, device, policy) for images in (cache, Resident(cache, device))
    )
    undo = streamed.reader.normalize.undo
    for epoch in (1, 2):
        pairs = zip(streamed.train(epoch), resident.train(epoch), strict=True)
        for (one, labels), (other, same) in pairs:
            assert torch.equal(labels, same)
            assert difference(undo(one), undo(other)).mean() < 1
    for (one, labels), (other, same) in zip(streamed.val(), resident.val(), strict=True):
        assert torch.equal(labels, same) and difference(undo(one), undo(other)).max() <= 1


@pytest.mark.parametrize("policy", [[FLIP], [RESIZED_CROP, FLIP, JITTER]])
def test_resident_batches_depend_on_seed_and_epoch_alone(make_cache, device, policy):
    batches = batches_of(Resident(make_cache(), device), device, policy)
    torch.manual_seed(0)
    once = torch.cat([images for images, _ in batches.train(3)])
    torch.manual_seed(1)
    assert torch.equal(torch.cat([images for images, _ in batches.train(3)]), once)
    other = torch.cat([images for images, _ in batches.train(4)])
    assert not torch.equal(other.sort(0).values, once.sort(0).values)


def test_resident_images_meet_their_labels(make_cache, device):
    images = Resident(make_cache(), device)
    batches = batches_of(images, device, [RESIZED_CROP, FLIP])
    for epoch in (1, 2):
        for views, labels in batches.train(epoch):
            redness = batches.reader.normalize.undo(views)[:, 0].float().mean((1, 2))
            assert torch.equal((redness / 20).round().long(), labels)


def test_resident_images_grow_with_the_epochs(make_cache, device):
    images = Resident(make_cache(), device)
    batches = batches_of(images, device, [FLIP], sizes=(16, 24))
    for epoch, size in ((1, 16), (2, 24), (3, 24)):
        assert {views.shape[2:] for views, _ in batches.train(epoch)} == {(size, size)}
