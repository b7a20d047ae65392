"""Images whose label every probe contradicts with confidence.

The idea is confident learning's (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating
uncertainty in dataset labels"): probabilities come from probes that never saw the image, and its
label is doubted where another class gets far more than the label does (the normalized margin).
Here several probes, each with folds of its own, must all doubt it.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

_PROBES = 3
_MARGIN = 0.5
_FOLDS = 5
_DIMENSIONS = 64
COLUMNS = ["id", "label", "believed", "probability", "label_probability"]


def find(features: np.ndarray, images: pd.DataFrame) -> pd.DataFrame:
    """The suspects, the surest first.

    Args:
        features: float32 (n, d), of the frozen backbone.
        images: n rows with columns id, label and sha256; copies stay in one fold.

    Returns:
        `COLUMNS`: the class that the probes believe, and the mean probabilities of that class and
        of the label over the probes.
    """
    codes, classes = pd.factorize(images["label"], sort=True)
    pictures = pd.factorize(images["sha256"])[0]
    first = ~images["sha256"].duplicated().to_numpy()
    if np.bincount(codes[first]).min() < 2:
        return pd.DataFrame(columns=COLUMNS)
    draws = [out_of_fold(features, codes, pictures, seed) for seed in range(_PROBES)]
    doubted = [margins(draw, codes) >= _MARGIN for draw in draws]
    mean = np.mean(draws, axis=0)
    believed = mean.argmax(axis=1)
    rows = np.flatnonzero(np.all(doubted, axis=0))
    found = pd.DataFrame(
        {
            "id": images["id"].to_numpy()[rows],
            "label": images["label"].to_numpy()[rows],
            "believed": classes[believed[rows]],
            "probability": mean[rows, believed[rows]],
            "label_probability": mean[rows, codes[rows]],
        },
        columns=COLUMNS,
    )
    return found.sort_values("probability", ascending=False, ignore_index=True)


def margins(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """By how much the most probable other class exceeds the label, float (n,), from -1 to 1.

    Args:
        probabilities: float (n, K), out of fold.
        codes: int (n,), the labels.
    """
    rows = np.arange(len(codes))
    others = probabilities.copy()
    others[rows, codes] = -1.0
    gaps: np.ndarray = others.max(axis=1) - probabilities[rows, codes]
    return gaps


def out_of_fold(
    features: np.ndarray, codes: np.ndarray, pictures: np.ndarray, seed: int
) -> np.ndarray:
    """Class probabilities of each image by a probe that saw no copy of it, float64 (n, K).

    Args:
        pictures: int (n,), equal for exact copies.
    """
    _, first, back = np.unique(pictures, return_index=True, return_inverse=True)
    folds = min(_FOLDS, int(np.bincount(codes[first]).min()))
    made = np.zeros((len(first), codes.max() + 1))
    kept = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for known, unknown in kept.split(first, codes[first]):
        probe = _probe(min(_DIMENSIONS, len(known) - 1, features.shape[1]), seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(features[first[known]], codes[first[known]])
        made[unknown] = probe.predict_proba(features[first[unknown]])
    return made[back]


def _probe(dimensions: int, seed: int):  # type: ignore[no-untyped-def]
    return make_pipeline(
        Normalizer(),
        PCA(dimensions, whiten=True, random_state=seed),
        LogisticRegression(C=0.1, max_iter=300),
    )
