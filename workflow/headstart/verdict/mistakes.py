"""Which images a run gets wrong, and where runs of two strategies differ."""

from collections.abc import Sequence

import pandas as pd

#: Mistakes of a run that a report shows.
MOST_SHOWN = 8


def confident(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions in the format of predictions.parquet with the probability of the answer.

    Returns:
        Columns id, label, predicted and confidence.
    """
    confidence = predictions.filter(like="p:").max(axis=1)
    return predictions[["id", "label", "predicted"]].assign(confidence=confidence)


def worst(predictions: pd.DataFrame, most: int) -> pd.DataFrame:
    """The surest of the wrong answers, at most so many, surest first; columns as `confident`."""
    answers = confident(predictions)
    return answers[answers.predicted != answers.label].nlargest(most, "confidence")


def shares_right(runs: Sequence[pd.DataFrame]) -> pd.Series:
    """By image id, the share of the runs that tested it and were right.

    Args:
        runs: each with columns id, label and predicted.
    """
    right = [(run.label == run.predicted).set_axis(run.id) for run in runs]
    return pd.concat(right).astype(float).groupby(level=0).mean()


def only_right(a: pd.Series, b: pd.Series) -> pd.Series:
    """The images that most runs of `a` get right and most of `b` wrong, the clearest first.

    Args:
        a: and `b`, from `shares_right`.

    Returns:
        By image id, by how much `a`'s share is larger.
    """
    apart = pd.concat({"a": a, "b": b}, axis=1).dropna()
    apart = apart[(apart.a > 0.5) & (apart.b < 0.5)]
    return (apart.a - apart.b).sort_values(ascending=False, kind="stable")
