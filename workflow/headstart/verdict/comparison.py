"""The verdict: which strategy leads at the largest fraction, and by how much for sure."""

import pandas as pd

from headstart.verdict import inference
from headstart.verdict.inference import Difference, McNemar, Resampled
from headstart.verdict.scores import Key
from headstart.verdict.words import statement


def compare(runs: pd.DataFrame, resampled: Resampled, shortcuts: dict | None = None) -> dict:
    """The verdict at the largest fraction, ready for verdict.json.

    Args:
        runs: from `headstart.verdict.tables.runs_table`.
        resampled: the right-or-wrong scores of the same runs.
        shortcuts: from `headstart.verdict.shortcuts.floor`.
    """
    study = resampled.study
    largest = study.largest_fraction
    ranked = inference.ranked(study, largest)
    verdict = {
        "fraction": largest,
        "n_test": len(study.images),
        "n_splits": min(len(set(study.cells[key].splits)) for key in ranked),
        "n_seeds": min(len(set(study.cells[key].seeds)) for key in ranked),
        "leader": ranked[0][0],
        "majority_floor": study.majority_floor,
        "shortcut_floor": shortcuts,
        "strategies": [_strategy(resampled, key) for key in ranked],
        "comparisons": [_pair(pair) for pair in inference.differences(resampled, ranked)],
    }
    return {**verdict, "statement": statement(verdict, runs[runs["fraction"] == largest])}


def _strategy(resampled: Resampled, key: Key) -> dict:
    mean, cell = inference.mean(resampled, key), resampled.study.cells[key]
    return {
        "strategy": key[0],
        "runs": len(cell.runs),
        "splits": len(set(cell.splits)),
        "seeds": len(set(cell.seeds)),
        "accuracy": mean.value,
        "low": mean.low,
        "high": mean.high,
        "wilson": [list(interval) for interval in mean.wilson],
    }


def _pair(pair: Difference) -> dict:
    return {
        "a": pair.a[0],
        "b": pair.b[0],
        "difference": pair.value,
        "low": pair.low,
        "high": pair.high,
        "p": pair.p,
        "mcnemar": [_mcnemar(test) for test in pair.mcnemar],
        "p_holm": pair.p_holm,
        "distinguishable": pair.distinguishable,
    }


def _mcnemar(test: McNemar) -> dict:
    split, seed = test.run
    return {
        "split": split,
        "seed": seed,
        "only_a": test.only_a,
        "only_b": test.only_b,
        "p": test.p,
    }
