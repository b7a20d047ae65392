"""The reader: where images are read from, and how they are normalised."""

import logging
from dataclasses import replace

import pytest
import torch

from headstart.compute import devices
from headstart.experiment.config import Transform
from headstart.views import augmentation, reader
from headstart.views.pixels import Resident
from headstart.views.reader import Normalizer

IMAGE = {
    "size": 24,
    "resize": 32,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
FLIP = Transform("horizontal_flip", (("p", 0.5),))
RESIZED_CROP = Transform("random_resized_crop", (("ratio", (0.75, 1.33)), ("scale", (0.2, 1.0))))
TRIVIAL = Transform("trivial_augment")


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
def test_images_are_resident_where_they_fit(
    make_cache, cpu, monkeypatch, caplog, policy, free, said
):
    cache = make_cache()
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: free)
    views = [augmentation.training_transform(policy, IMAGE)]
    with caplog.at_level(logging.INFO):
        images = reader.place(cache, views, cpu)
    assert isinstance(images, Resident) == said.startswith("device-resident")
    assert caplog.messages == [f"images: {said}"]


def test_on_the_cpu_images_stay_in_the_memory_map(make_cache, cpu):
    cache = make_cache()
    views = [augmentation.evaluation_transform(IMAGE)]
    assert reader.place(cache, views, replace(cpu, precision="bf16")) is cache


def test_normalizer_is_the_formula_and_undo_its_inverse(cpu):
    images = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 1).view(2, 3, 16, 16)
    normalize = Normalizer(IMAGE, cpu)
    made = normalize(images)
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    wanted = (images[0, 1].double() / 255 - 0.456) / 0.224
    assert torch.allclose(made[0, 1].double(), wanted, atol=1e-5)
    assert torch.equal(normalize.undo(made), images)


def test_consecutive_covers_everything_once():
    assert [batch.tolist() for batch in reader.consecutive(5, 2)] == [[0, 1], [2, 3], [4]]
