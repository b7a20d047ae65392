"""Figures stay readable, and are written at all, at the edges of what an experiment can hold."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from headstart.report.figures import comparison, differences, labels, runs, sanity, style

NASTY = ["$x^2_", "_hidden", "<b>&amp;", "naïve\nname", "猫" * 30, "", "W" * 200]
MANY = [f"{i:03d}.a_class_with_a_rather_long_name_{i}" for i in range(200)]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def drawn(path: Path, widest: int = 1700, tallest: int = 2200) -> bool:
    """Something dark is on the page, nothing dark on its outermost pixels, and it fits a page."""
    page = pixels(path)
    edge = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    fits = page.shape[0] <= tallest and page.shape[1] <= widest
    return bool(fits and page.min() < 120 and edge.min() > 200)


def photograph(seed: int = 0, height: int = 40, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def history(epochs: int = 6, **changes: Any) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    frame = {"epoch": epoch, "phase": 0, "train_loss": 1 / epoch, "val_loss": 1.1 / epoch}
    accuracy = {"train_accuracy": 1 - 0.4 / epoch, "val_accuracy": 1 - 0.5 / epoch}
    return pd.DataFrame({**frame, **accuracy, **changes})


def summary(names: list[str], fractions: tuple[float, ...] = (1.0,)) -> pd.DataFrame:
    rows = []
    for fraction in fractions:
        for i, name in enumerate(names):
            accuracy = 0.9 - 0.01 * i - 0.1 * (1 - fraction)
            row = {"strategy": name, "fraction": fraction, "seed": 0, "accuracy": accuracy}
            row |= {"accuracy_low": accuracy - 0.03, "accuracy_high": accuracy + 0.03}
            rows.append(row | {"device_seconds": 100.0 * fraction})
    return pd.DataFrame(rows)


def verdict(names: list[str], floor: float = 0.5) -> dict[str, Any]:
    pair = {"difference": 0.02, "low": -0.01, "high": 0.05, "answer": "undecided"}
    pair |= {"margin_low": 0.0, "margin_high": 0.04}
    pairs = [{"a": a, "b": b, **pair} for a, b in zip(names, names[1:], strict=False)]
    found = {"fraction": 1.0, "n_test": 100, "majority_floor": floor, "comparisons": pairs}
    return found | {"metric_name": "accuracy", "margin": 1.0}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "figure.png"


def test_label_keeps_both_ends_within_its_limit() -> None:
    assert style.label("short") == "short"
    assert style.label("a\nb\tc\x00") == "a b c"
    assert style.label(" ") == "(no name)"
    long = style.label(MANY[7], 20)
    assert len(long) == 20 and long.startswith("007.") and long.endswith("_7")
    assert len(style.label("猫" * 30, 20)) <= 11
    assert len({style.label(name, 20) for name in MANY}) == 200


def test_a_strategy_looks_the_same_in_every_figure() -> None:
    few, all_of_them = style.looks(["scratch", "full"]), style.looks(["zz", "full", "scratch"])
    assert few["full"] == all_of_them["full"] and few["scratch"] == all_of_them["scratch"]
    assert len(set(style.looks(f"s{i:02d}" for i in range(40)).values())) == 40


def test_figures_leave_the_settings_of_a_notebook_alone(path: Path) -> None:
    before = dict(matplotlib.rcParams)
    runs.curves(history(), path)
    assert dict(matplotlib.rcParams) == before


def test_a_figure_that_fails_leaves_no_file(path: Path) -> None:
    with pytest.raises(KeyError):
        runs.curves(history().drop(columns="val_loss"), path)
    assert not path.exists()


def test_gallery_takes_any_shape(path: Path) -> None:
    images = [photograph(i, 20 + 30 * i, 300) for i in range(8)]
    sanity.gallery(images, "a policy of many transforms, " * 9, path)
    assert drawn(path)


@pytest.mark.parametrize("names", [["a"], NASTY, MANY])
def test_class_grid(path: Path, names: list[str]) -> None:
    sanity.class_grid({name: [photograph()] * (i % 4) for i, name in enumerate(names, 1)}, path)
    assert drawn(path)


def test_class_grid_caps_classes(path: Path) -> None:
    sanity.class_grid({name: [photograph()] for name in MANY}, path, max_classes=3)
    few = pixels(path).shape[0]
    sanity.class_grid({name: [photograph()] for name in MANY}, path)
    assert few < pixels(path).shape[0] < 2200


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_batch(path: Path, count: int) -> None:
    sanity.batch([photograph()] * count, (NASTY * 20)[:count], path)
    assert drawn(path)


@pytest.mark.parametrize("names", [["a"], NASTY, MANY[:40], MANY])
def test_class_counts(path: Path, names: list[str]) -> None:
    splits = [split for split in ("train", "val", "test", None) for _ in names]
    frame = pd.DataFrame({"label": names * 4, "split": splits})
    sanity.class_counts(frame, path)
    assert drawn(path)


@pytest.mark.parametrize(
    "sizes",
    [[(300, 300)] * 9, [(9, 9000)], [(32, 32), (64, 48)] * 5, "scatter", "tenfold", "many"],
)
def test_image_sizes(path: Path, sizes: Any) -> None:
    if isinstance(sizes, str):
        draw = np.random.default_rng(0).integers
        highest, count = {"scatter": (200, 50), "tenfold": (5000, 50), "many": (900, 4000)}[sizes]
        sizes = draw(30, highest, (count, 2)).tolist()
    frame = pd.DataFrame(sizes, columns=["width", "height"], dtype=float)
    frame = frame.assign(status="ok", label=[NASTY[i % 3] for i in range(len(frame))])
    broken = pd.DataFrame({"width": [np.nan], "height": np.nan, "status": "truncated", "label": ""})
    sanity.image_sizes(pd.concat([frame, broken]), path)
    assert drawn(path)


def test_image_sizes_without_a_readable_image(path: Path) -> None:
    frame = pd.DataFrame({"width": [np.nan], "height": np.nan, "status": "empty file", "label": ""})
    sanity.image_sizes(frame, path)
    assert drawn(path)


@pytest.mark.parametrize("names", [["no", "yes"], NASTY, MANY[:25], MANY[:50], MANY])
def test_confusion(path: Path, names: list[str]) -> None:
    counts = np.random.default_rng(0).poisson(1, (len(names), len(names)))
    counts[0] = 0
    runs.confusion(counts, names, path)
    assert drawn(path)


@pytest.mark.parametrize("certain", [False, True])
def test_reliability(path: Path, certain: bool) -> None:
    p = np.ones(50) if certain else np.random.default_rng(0).uniform(0.5, 1, 50)
    frame = pd.DataFrame({"label": ["a", "b"] * 25, "predicted": "a", "p:a": p, "p:b": 1 - p})
    runs.reliability(frame, 0.123, path)
    assert drawn(path)


def test_worst_mistakes(path: Path) -> None:
    runs.worst_mistakes([(photograph(), "W" * 50, "猫", 0.9)] * 50, path)
    assert drawn(path)


def test_no_mistakes_says_so(path: Path) -> None:
    runs.worst_mistakes([], path)
    assert drawn(path)


@pytest.mark.parametrize(
    "frame",
    [history(1), history(300), history(4, phase=[0, 0, 1, 1]), history(val_loss=np.nan)],
)
def test_curves(path: Path, frame: pd.DataFrame) -> None:
    runs.curves(frame, path, best_epoch=1)
    assert drawn(path)


@pytest.mark.parametrize("names", [["only"], ["head_only", "full", "scratch"], MANY[:12]])
def test_comparison(tmp_path: Path, names: list[str]) -> None:
    table, decision = summary(names), verdict(names)
    comparison.accuracy(table, table, decision, tmp_path / "accuracy.png")
    comparison.accuracy(table, table, verdict(names, 0.01), tmp_path / "far_floor.png")
    comparison.cost(table, table, tmp_path / "cost.png")
    differences.differences(decision, tmp_path / "differences.png")
    comparison.curves(
        {(n, f, 0): history(3) for n in names for f in (0.1, 1.0)}, tmp_path / "c.png"
    )
    comparison.learning_curve(summary(names, (0.1, 1.0)), tmp_path / "learning_curve.png")
    written = sorted(tmp_path.glob("*.png"))
    assert len(written) == 6 and all(map(drawn, written))


def test_a_figure_as_svg_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    table, decision = summary(["full", "scratch"]), verdict(["full", "scratch"])
    for name in ("one.svg", "two.svg"):
        comparison.accuracy(table, table, decision, tmp_path / name)
    drawing = (tmp_path / "one.svg").read_bytes()
    assert drawing == (tmp_path / "two.svg").read_bytes()
    root = ElementTree.fromstring(drawing)
    assert root.tag.endswith("svg") and not list(root.iter("{http://www.w3.org/2000/svg}image"))


def test_labels_of_cost_never_overlap() -> None:
    figure = matplotlib.figure.Figure(figsize=(8, 5), dpi=style.DPI)
    axes = figure.subplots()
    points = [(1 + 0.01 * i, 1 + 0.01 * (i % 4)) for i in range(12)]
    axes.set(xlim=(0, 2), ylim=(0, 2))
    boxes = labels.place_labels(figure, axes, points, ["strategy"] * 12, ["#000000"] * 12)
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]]
    assert not any(a.overlaps(b) for a, b in pairs)
