"""Batches: every image once, the same draws for the same seed, whoever loads them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.data.cache import ImageCache
from headstart.experiment.config import Transform
from headstart.views import augmentation
from headstart.views.batches import Examples, FeatureBatches, ImageBatches, Policy, Sampling
from headstart.views.reader import Normalizer, Reader

SIZE = 16
IMAGE = {
    "size": SIZE,
    "resize": SIZE,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
POLICY = [
    Transform("random_resized_crop", (("ratio", (0.75, 1.33)), ("scale", (0.2, 1.0)))),
    Transform("horizontal_flip", (("p", 0.5),)),
]


def write_cache(root: Path, n: int) -> ImageCache:
    """n noisy images, image k with red corner value k."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(n)
    (root / "images.bin").write_bytes(pixels.tobytes())
    rows = [f"i{k},{k * SIZE * SIZE * 3},{SIZE},{SIZE},{k}" for k in range(n)]
    (root / "index.csv").write_text("\n".join(["id,offset,height,width,sha256", *rows]) + "\n")
    return ImageCache.open(root / "images.bin", root / "index.csv")


def batches_of(
    cache: ImageCache, cpu, policy=POLICY, workers=0, mixing=(), batch_size=4, sampling="uniform"
) -> ImageBatches:
    rows = {"train": np.arange(2, 12), "val": np.arange(12, 15)}
    examples = Examples(rows, {part: positions % 3 for part, positions in rows.items()})
    shown = Policy(
        train=[augmentation.training_transform(policy, IMAGE)],
        val=augmentation.evaluation_transform(IMAGE),
        mixing=mixing,
    )
    reader = Reader(cache, Normalizer(IMAGE, cpu), workers)
    return ImageBatches(reader, examples, shown, Sampling(batch_size, sampling, seed=7))


def same(one, other) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 16, 33])
def test_an_epoch_is_a_permutation(n):
    order = Sampling(8, "uniform", seed=0).order(np.zeros(n, dtype=np.int64), epoch=1)
    seen = np.concatenate(order)
    assert len(set(seen)) == len(seen) and set(seen) <= set(range(n))
    dropped = n - len(seen)
    assert dropped == (1 if n > 8 and n % 8 == 1 else 0)
    assert min(map(len, order)) > 1 or n == 1


def test_the_order_depends_on_seed_and_epoch_alone():
    labels = np.arange(40) % 4
    orders = {
        (seed, epoch): np.concatenate(Sampling(8, "uniform", seed).order(labels, epoch)).tolist()
        for seed in range(4)
        for epoch in range(4)
    }
    again = np.concatenate(Sampling(8, "uniform", 2).order(labels, 3)).tolist()
    assert orders[2, 3] == again
    assert len({tuple(order) for order in orders.values()}) == 16


def test_balanced_sampling_draws_classes_equally_often():
    labels = np.repeat([0, 1, 2], [1000, 100, 10])
    sampling = Sampling(32, "balanced", 0)
    drawn = np.concatenate(
        [batch for epoch in range(10) for batch in sampling.order(labels, epoch)]
    )
    shares = np.bincount(labels[drawn]) / len(drawn)
    assert abs(shares - 1 / 3).max() < 0.02
    # and within a class, images equally often
    assert len(set(drawn[labels[drawn] == 1])) == 100


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_steps_are_those_of_every_epoch(tmp_path, cpu, sampling):
    """One schedule step too few or too many would bend or break the course of the rate."""
    cache = write_cache(tmp_path, 15)
    for batch_size in (1, 3, 4, 9, 10, 20):
        batches = batches_of(cache, cpu, batch_size=batch_size, sampling=sampling)
        for epoch in (1, 2, 3):
            assert [len(targets) for _, targets in batches.train(epoch)] == batches.sizes


def test_images_meet_their_own_labels(tmp_path, cpu):
    batches = batches_of(write_cache(tmp_path, 15), cpu, policy=[])
    undo = batches.reader.normalize.undo
    seen = []
    for part in (batches.train(1), batches.val()):
        for images, labels in part:
            numbers = undo(images)[:, 0, 0, 0].long()
            assert torch.equal(numbers % 3, labels)
            seen += numbers.tolist()
    assert Counter(seen) == Counter(range(2, 15))


def test_validation_keeps_order_and_is_never_augmented(tmp_path, cpu):
    batches = batches_of(write_cache(tmp_path, 15), cpu)
    once, again = list(batches.val()), list(batches.val())
    assert same(once, again)
    assert batches.reader.normalize.undo(once[0][0])[:, 0, 0, 0].tolist() == [12, 13, 14]


def test_augmentation_does_not_depend_on_workers(tmp_path, cpu):
    cache = write_cache(tmp_path, 15)
    torch.manual_seed(0)
    alone = list(batches_of(cache, cpu).train(3))
    torch.manual_seed(1)
    helped = list(batches_of(cache, cpu, workers=2).train(3))
    assert same(alone, helped)


def test_loading_leaves_the_same_random_state_whoever_loads(tmp_path, cpu):
    """Dropout draws from the global generator: loading must not shift it."""
    cache = write_cache(tmp_path, 15)
    states = []
    for workers in (0, 2):
        torch.manual_seed(5)
        list(batches_of(cache, cpu, workers=workers).train(1))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_an_image_is_drawn_anew_each_epoch_and_differently_from_its_neighbour(tmp_path, cpu):
    cache = write_cache(tmp_path, 15)
    batches = batches_of(cache, cpu)
    assert same(batches.train(1), batches.train(1))
    first = torch.cat([images for images, _ in batches.train(1)])
    second = torch.cat([images for images, _ in batches.train(2)])
    assert not torch.equal(first.sort(0).values, second.sort(0).values)
    # one picture many times in a batch: its draws differ
    view = augmentation.training_transform(POLICY, IMAGE)
    order = [np.zeros(8, dtype=np.int64)]
    shown = next(batches.reader.batches(np.arange(15), order, view))
    assert len({drawn.numpy().tobytes() for drawn in shown}) == 8


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixing_mixes_targets_as_it_mixes_images(tmp_path, cpu, name):
    mixing = augmentation.batch_transforms([Transform(name, (("alpha", 1.0),))], 3)
    cache = write_cache(tmp_path, 15)
    torch.manual_seed(0)
    once = list(batches_of(cache, cpu, policy=[], mixing=mixing).train(1))
    torch.manual_seed(1)
    again = list(batches_of(cache, cpu, policy=[], mixing=mixing, workers=2).train(1))
    plain = list(batches_of(cache, cpu, policy=[]).train(1))
    assert same(once, again)  # seed and epoch decide, not the global generator
    for (images, soft), (pure, hard) in zip(once, plain, strict=True):
        assert soft.shape == (len(hard), 3) and torch.allclose(soft.sum(1), torch.ones(len(hard)))
        assert (soft[torch.arange(len(hard)), hard] > 0).all() or name == "cutmix"
        assert images.shape == pure.shape
    assert not same(once, [(images, torch.nn.functional.one_hot(h, 3)) for images, h in plain])
    assert same(batches_of(cache, cpu, mixing=mixing).val(), batches_of(cache, cpu).val())


def feature_batches(cpu, views: int) -> FeatureBatches:
    """Features whose values are (view, row)."""
    view, row = np.mgrid[0:views, 0:20]
    features = np.stack([view, row], axis=2).astype(np.float32)
    rows = {"train": np.arange(19, 3, -1), "val": np.array([3, 0, 1])}
    examples = Examples(rows, {part: positions % 2 for part, positions in rows.items()})
    return FeatureBatches(features, examples, Sampling(5, "uniform", 3), cpu)


def test_features_meet_their_own_labels_and_change_view(cpu):
    batches = feature_batches(cpu, views=4)
    seen = {}
    for epoch in range(1, 21):
        made = list(batches.train(epoch))
        assert [len(labels) for _, labels in made] == batches.sizes
        for inputs, labels in made:
            assert torch.equal(inputs[:, 1].long() % 2, labels)
            for view, row in inputs.tolist():
                seen.setdefault(row, []).append(view)
    assert set(seen) == set(range(4, 20))
    assert all(set(views) == {0.0, 1.0, 2.0, 3.0} for views in seen.values())
    ((inputs, labels),) = batches.val()
    assert inputs.tolist() == [[0, 3], [0, 0], [0, 1]] and labels.tolist() == [1, 0, 1]
    assert same(batches.train(2), feature_batches(cpu, 4).train(2))
