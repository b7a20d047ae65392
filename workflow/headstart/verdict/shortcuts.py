"""What gives a label away without a look at the picture: size, file, brightness, border.

A classifier that sees only these is a floor beside the majority: a strategy that hardly beats it
may have learned how the pictures were made (Geirhos et al. 2020, "Shortcut learning in deep neural
networks"; Torralba & Efros 2011, "Unbiased look at dataset bias").
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from headstart.data import decoding
from headstart.verdict.statistics import wilson

_MOST_TRAINED = 20_000
#: What is measured, as a reader names it, and the columns that hold it.
TRAITS = {
    "image size": ["width", "height"],
    "aspect ratio": ["aspect"],
    "file format": ["format"],
    "colour mode": ["mode"],
    "bytes per pixel": ["bytes_per_pixel"],
    "camera data (EXIF)": ["exif"],
    "mean brightness": ["brightness"],
    "border colour": ["border_red", "border_green", "border_blue"],
}
_NAMED = ["format", "mode", "exif"]


def around(path: str, pixels: np.ndarray) -> dict[str, float | str]:
    """What surrounds one picture: the columns of `TRAITS`.

    Args:
        pixels: the decoded picture, uint8 (h, w, 3), perhaps scaled down.
    """
    with decoding.opened(path) as image:
        width, height = image.size
        exif = image.getexif()
        kind, mode = image.format or "", image.mode
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    return {
        "width": width,
        "height": height,
        "aspect": width / height,
        "format": kind,
        "mode": mode,
        "bytes_per_pixel": Path(path).stat().st_size / (width * height),
        "exif": f"{exif.get(271, '')} {exif.get(272, '')}".strip() or ("some" if exif else "none"),
        "brightness": float(pixels.mean()),
        "border_red": float(edge[0]),
        "border_green": float(edge[1]),
        "border_blue": float(edge[2]),
    }


def floor(
    traits: pd.DataFrame, labels: Sequence[str], splits: Sequence[tuple[np.ndarray, np.ndarray]]
) -> dict:
    """The accuracy on the test images of classifiers that see only the traits.

    Args:
        traits: n rows of `around`.
        labels: n labels.
        splits: for each split the rows to train on and the rows to test on, int.

    Returns:
        accuracy with low and high (Wilson, 95 %) of all traits together, n_test, and under "alone"
        the accuracy of each trait on its own, the best first. A row tested in several splits
        counts in each; the interval is that of the distinct rows.
    """
    table, codes = _numbers(traits), pd.factorize(np.asarray(labels), sort=True)[0]
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0, n_jobs=1)
    together = _accuracy(forest, table, codes, splits)
    alone = {}
    for name, columns in TRAITS.items():
        tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=3, random_state=0)
        mine = [column for column in map(str, table) if column.split("=")[0] in columns]
        alone[name] = _accuracy(tree, table[mine], codes, splits)
    n_test = len(np.unique(np.concatenate([tested for _, tested in splits])))
    low, high = wilson(round(together * n_test), n_test)
    return {
        "accuracy": together,
        "low": min(low, together),
        "high": max(high, together),
        "n_test": n_test,
        "alone": dict(sorted(alone.items(), key=lambda item: -item[1])),
    }


def _numbers(traits: pd.DataFrame) -> pd.DataFrame:
    """Traits as numbers, those with names as one column per name."""
    return pd.get_dummies(traits, columns=_NAMED, prefix_sep="=", dtype=float)


def _accuracy(
    classifier: RandomForestClassifier | DecisionTreeClassifier,
    table: pd.DataFrame,
    codes: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
) -> float:
    values, right, total = table.to_numpy(np.float32), 0, 0
    for known, tested in splits:
        if len(known) > _MOST_TRAINED:
            known = np.random.default_rng(0).choice(known, _MOST_TRAINED, replace=False)
        answers = classifier.fit(values[known], codes[known]).predict(values[tested])
        right, total = right + int((answers == codes[tested]).sum()), total + len(tested)
    return right / total
