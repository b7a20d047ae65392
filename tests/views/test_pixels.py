"""Views of cached images: the same pixels from the memory map and from the device."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from headstart.compute import devices
from headstart.data.cache import ImageCache
from headstart.experiment.config import Transform
from headstart.views import augmentation, batched, pixels
from headstart.views.batches import ImageBatches, Normalizer
from headstart.views.pixels import Mapped, Resident

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
TRIVIAL = Transform("trivial_augment")
MIXED = [(32, 32), (60, 32), (32, 50), (20, 30), (70, 64), (9, 12)] * 2


def write_cache(root: Path, shapes: list[tuple[int, int]]) -> ImageCache:
    """Smooth pictures of the given heights and widths; picture k has mean redness about 20 k."""
    offset, rows, content = 0, [], b""
    for k, (height, width) in enumerate(shapes):
        y, x = np.mgrid[0:height, 0:width]
        waves = [20 * k + 6 * np.sin(x / 5), 128 + 90 * np.cos(y / 7 + k), 128 + 90 * np.sin(x + y)]
        content += np.stack(waves, axis=2).clip(0, 255).astype(np.uint8).tobytes()
        rows.append((f"i{k}", offset, height, width))
        offset = len(content)
    (root / "images.bin").write_bytes(content)
    index = pd.DataFrame(rows, columns=["id", "offset", "height", "width"])
    index.to_csv(root / "index.csv", index=False)
    return ImageCache.open(root / "images.bin", root / "index.csv")


def difference(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.int() - other.int()).abs().float()


def batches_of(images, cpu, policy, **options) -> ImageBatches:
    rows = {"train": np.arange(2, 12), "val": np.arange(2)}
    transforms = {
        "train": augmentation.training_transform(policy, IMAGE),
        "val": augmentation.evaluation_transform(IMAGE),
    }
    return ImageBatches(
        images, rows, rows, transforms, Normalizer(IMAGE, cpu), 4, "uniform", 7, **options
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_the_evaluation_view_is_that_of_single_images(tmp_path, device, interpolation):
    cache = write_cache(tmp_path, MIXED)
    view = augmentation.evaluation_transform(IMAGE | {"interpolation": interpolation})
    rows, rng = np.array([3, 1, 4, 0, 5, 2]), np.random.default_rng(0)
    single = torch.stack([view(Mapped(cache).one(row)) for row in rows])
    assert torch.equal(view.batched(Mapped(cache), rows, rng), single)
    resident = view.batched(Resident(cache, device), rows, rng).cpu()
    assert resident.is_contiguous(memory_format=torch.channels_last)
    assert difference(resident, single).max() <= (0 if interpolation == "nearest" else 1)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_resized_crops_have_torchvisions_pixels(tmp_path, device, interpolation):
    cache = write_cache(tmp_path, MIXED)
    rows = np.arange(len(cache))
    frames = batched.random_resized_crop(
        cache.sizes, np.random.default_rng(0), IMAGE, (0.08, 1.0), (0.75, 1.33)
    )
    mode = InterpolationMode(interpolation)
    wanted = torch.stack(
        [
            F.resized_crop(Mapped(cache).one(row), *box, [24, 24], mode, antialias=True)
            for row, box in zip(rows, frames.boxes.tolist(), strict=True)
        ]
    )
    assert torch.equal(Mapped(cache).cut(rows, frames, interpolation), wanted)
    resident = difference(Resident(cache, device).cut(rows, frames, interpolation).cpu(), wanted)
    assert resident.mean() < 0.1 and resident.max() <= 2


def test_random_crops_have_torchvisions_pixels(tmp_path, device):
    cache = write_cache(tmp_path, [(32, 32), (32, 50), (40, 32)])
    rows = np.arange(3).repeat(20)
    frames = batched.random_crop(cache.sizes[rows], np.random.default_rng(0), IMAGE, padding=4)
    padded = [F.pad(Mapped(cache).one(row), [4] * 4, padding_mode="reflect") for row in rows]
    wanted = torch.stack(
        [
            image[:, top + 4 : top + 28, left + 4 : left + 28]
            for image, (top, left) in zip(padded, frames.windows, strict=True)
        ]
    )
    assert (frames.windows < 0).any() and (frames.windows > 8).any()
    for images in (Mapped(cache), Resident(cache, device)):
        assert torch.equal(images.cut(rows, frames, "bilinear").cpu(), wanted)


@pytest.mark.parametrize("axes", [(2,), (1,), (1, 2)])
def test_flips_are_torchs(tmp_path, device, axes):
    cache = write_cache(tmp_path, MIXED)
    rows = np.arange(len(cache))
    frames = batched.random_crop(cache.sizes, np.random.default_rng(0), IMAGE, padding=4)
    flipped = replace(frames, flips=np.tile([1 in axes, 2 in axes], (len(rows), 1)))
    for images in (Mapped(cache), Resident(cache, device)):
        wanted = images.cut(rows, frames, "bilinear").flip([axis + 1 for axis in axes])
        assert torch.equal(images.cut(rows, flipped, "bilinear"), wanted)


@pytest.mark.parametrize(
    "policy", [[], [FLIP], [CROP, FLIP], [RESIZED_CROP, FLIP], [RESIZED_CROP, JITTER, ROTATION]]
)
def test_streamed_and_resident_images_give_the_same_batches(tmp_path, device, policy):
    """So a run may resume on another machine, where the set fits or does not."""
    cache = write_cache(tmp_path, MIXED)
    streamed, resident = (
        batches_of(images, device, policy) for images in (cache, Resident(cache, device))
    )
    undo = streamed.normalize.undo
    for epoch in (1, 2):
        pairs = zip(streamed.train(epoch), resident.train(epoch), strict=True)
        for (one, labels), (other, same) in pairs:
            assert torch.equal(labels, same)
            assert difference(undo(one), undo(other)).mean() < 1
    for (one, labels), (other, same) in zip(streamed.val(), resident.val(), strict=True):
        assert torch.equal(labels, same) and difference(undo(one), undo(other)).max() <= 1


@pytest.mark.parametrize("policy", [[FLIP], [RESIZED_CROP, FLIP, JITTER]])
def test_resident_batches_depend_on_seed_and_epoch_alone(tmp_path, device, policy):
    batches = batches_of(Resident(write_cache(tmp_path, MIXED), device), device, policy)
    torch.manual_seed(0)
    once = torch.cat([images for images, _ in batches.train(3)])
    torch.manual_seed(1)
    assert torch.equal(torch.cat([images for images, _ in batches.train(3)]), once)
    other = torch.cat([images for images, _ in batches.train(4)])
    assert not torch.equal(other.sort(0).values, once.sort(0).values)


def test_resident_images_meet_their_labels(tmp_path, device):
    images = Resident(write_cache(tmp_path, MIXED), device)
    batches = batches_of(images, device, [RESIZED_CROP, FLIP])
    for epoch in (1, 2):
        for views, labels in batches.train(epoch):
            redness = batches.normalize.undo(views)[:, 0].float().mean((1, 2))
            assert torch.equal((redness / 20).round().long(), labels)


def test_resident_images_grow_with_the_epochs(tmp_path, device):
    by_epoch = [
        augmentation.training_transform([FLIP], augmentation.resized(IMAGE, size))
        for size in (16, 24)
    ]
    images = Resident(write_cache(tmp_path, MIXED), device)
    batches = batches_of(images, device, [FLIP], by_epoch=by_epoch)
    for epoch, size in ((1, 16), (2, 24)):
        assert {views.shape[2:] for views, _ in batches.train(epoch)} == {(size, size)}


@pytest.mark.parametrize(
    ("policy", "free", "said"),
    [
        ([RESIZED_CROP, FLIP], 1_000_000, "device-resident, batched augmentation"),
        (
            [RESIZED_CROP, FLIP],
            10_000,
            "streamed, batched augmentation (0 MB exceed 40% of the 0 MB free)",
        ),
        ([FLIP], 0, "streamed, batched augmentation"),
        ([TRIVIAL], 1_000_000, "streamed, per-image augmentation"),
    ],
)
def test_images_are_resident_where_they_fit(tmp_path, cpu, monkeypatch, caplog, policy, free, said):
    cache = write_cache(tmp_path, MIXED)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: free)
    transforms = [augmentation.training_transform(policy, IMAGE)]
    with caplog.at_level(logging.INFO):
        images = pixels.place(cache, transforms, cpu)
    assert isinstance(images, Resident) == said.startswith("device-resident")
    assert caplog.messages == [f"images: {said}"]


def test_on_the_cpu_images_stay_in_the_memory_map(tmp_path, cpu):
    cache = write_cache(tmp_path, MIXED)
    transforms = [augmentation.evaluation_transform(IMAGE)]
    assert pixels.place(cache, transforms, replace(cpu, precision="bf16")) is cache
