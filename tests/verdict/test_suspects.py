"""Suspects: planted wrong labels are found, right ones are left alone."""

import numpy as np
import pandas as pd

from headstart.verdict import suspects


def clusters(n: int, apart: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Three clusters of features, and images labelled by cluster."""
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 3
    centres = rng.normal(size=(3, 40)) * apart
    features = (centres[truth] + rng.normal(size=(n, 40))).astype(np.float32)
    ids = [f"{k:03d}" for k in range(n)]
    labels = np.array(["cat", "dog", "fox"])[truth]
    return features, pd.DataFrame({"id": ids, "label": labels, "sha256": ids})


def test_planted_wrong_labels_are_the_suspects() -> None:
    features, images = clusters(300, apart=2)
    wrong = [3, 60, 151, 299]
    right = images.loc[wrong, "label"].tolist()
    images.loc[wrong, "label"] = ["dog", "dog", "fox", "cat"]
    assert all(images.loc[wrong, "label"] != right)
    found = suspects.find(features, images).set_index("id")
    assert set(found.index) == {f"{k:03d}" for k in wrong}
    assert [found.believed[f"{k:03d}"] for k in wrong] == right
    assert (found.probability > found.label_probability).all()


def test_right_labels_raise_no_suspicion() -> None:
    assert suspects.find(*clusters(300, apart=2)).empty


def test_noise_is_not_taken_for_wrong_labels() -> None:
    features, images = clusters(300, apart=0)
    assert len(suspects.find(features, images)) < 15


def test_a_copy_does_not_vouch_for_its_label() -> None:
    features, images = clusters(300, apart=2)
    images.loc[[0, 3], "sha256"] = "same"
    features[3] = features[0]
    images.loc[[0, 3], "label"] = "fox"
    assert {"000", "003"} <= set(suspects.find(features, images).id)


def test_too_few_images_of_a_class_give_no_answer() -> None:
    features, images = clusters(30, apart=2)
    images.loc[0, "label"] = "owl"
    assert suspects.find(features, images).empty


def test_margins_by_hand() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    assert np.allclose(suspects.margins(shares, np.array([0, 1])), [-0.5, 0.3])
