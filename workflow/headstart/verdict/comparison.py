"""The verdict: which strategy leads at the largest fraction, and what is shown of every pair."""

from collections.abc import Mapping, Sequence

import pandas as pd

from headstart.verdict import answers, chances, curves, elsewhere, inference, planning, tables
from headstart.verdict.answers import Answer
from headstart.verdict.inference import McNemar
from headstart.verdict.metrics import NAMES
from headstart.verdict.scores import Key, Study
from headstart.verdict.words import statement

POINT = 0.01


def compare(
    runs: pd.DataFrame,
    study: Study,
    margin: float = 1.0,
    shortcuts: dict | None = None,
    tests: Mapping[str, dict] | None = None,
    missing: Sequence[dict] = (),
) -> dict:
    """The verdict at the largest fraction, ready for verdict.json.

    Args:
        runs: from `headstart.verdict.tables.runs_table`.
        study: the scores of the same runs.
        margin: the difference worth having, in points: hundredths of the metric.
        shortcuts: from `headstart.verdict.shortcuts.floor`.
        tests: the verdicts of further test sets, by name.
        missing: the runs that failed, from `headstart.salvage.missing`.
    """
    largest = study.largest_fraction
    compared = runs[runs["fraction"] == largest]
    ranked = inference.ranked(study, largest)
    found = answers.answers(inference.differences(study, ranked), margin * POINT)
    chance = chances.chances(study, ranked)
    seconds = tables.seconds(compared)
    cells = {key[0]: study.cells[key] for key in ranked}
    verdict = {
        "metric": study.metric,
        "metric_name": NAMES[study.metric],
        "margin": margin,
        "fraction": largest,
        "n_test": len(study.images),
        "n_groups": None if study.groups is None else len(set(study.groups)),
        "n_splits": min(len(set(cell.splits)) for cell in cells.values()),
        "n_seeds": min(len(set(cell.seeds)) for cell in cells.values()),
        "leader": ranked[0][0],
        "recommended": answers.recommended(found, cells, seconds),
        "optimism": chance.optimism,
        "majority_floor": study.majority_floor,
        "floor": _floor(study, ranked[0]),
        "shortcut_floor": shortcuts,
        "strategies": [
            _strategy(study, key, best, compared)
            for key, best in zip(ranked, chance.best, strict=True)
        ],
        "comparisons": [_pair(answer) for answer in found],
        "learning_curve": curves.learning_curve(study, runs, margin * POINT),
        "missing": list(missing),
    }
    verdict["tests"] = [elsewhere.told(verdict, *each) for each in (tests or {}).items()]
    return {**verdict, "statement": statement(verdict, compared)}


def _floor(study: Study, leader: Key) -> dict | None:
    """The leader against the most common class, always answered, on the same images."""
    both, majority = inference.beside_majority(study, leader), ("", leader[1])
    if both is None:
        return None
    found = inference.difference(both, leader, majority).components
    low, high = found.interval(inference.ALPHA)
    return {
        "value": inference.mean(both, majority).value,
        "difference": found.value,
        "low": low,
        "high": high,
        "p": found.p(found.value),
    }


def _strategy(study: Study, key: Key, best: float, runs: pd.DataFrame) -> dict:
    mean, cell = inference.mean(study, key), study.cells[key]
    return {
        "strategy": key[0],
        "runs": len(cell.runs),
        "splits": len(set(cell.splits)),
        "seeds": len(set(cell.seeds)),
        "deterministic": cell.deterministic,
        "mean": mean.value,
        "low": mean.low,
        "high": mean.high,
        "accuracy": float(runs.loc[runs["strategy"] == key[0], "accuracy"].mean()),
        "wilson": [list(interval) for interval in mean.wilson],
        "chance_best": best,
    }


def _pair(answer: Answer) -> dict:
    pair = answer.difference
    (low, high), (margin_low, margin_high) = answer.interval, answer.margin_interval
    return {
        "a": pair.a[0],
        "b": pair.b[0],
        "answer": answer.text,
        "about": "models" if pair.about_models else "strategies",
        "difference": pair.value,
        "low": low,
        "high": high,
        "confidence": 1 - answer.level,
        "p": answer.p,
        "p_holm": answer.p_holm,
        "within_margin": answer.within_margin,
        "margin_low": margin_low,
        "margin_high": margin_high,
        "margin_confidence": 1 - 2 * answer.level_margin,
        "p_margin": answer.p_margin,
        "p_margin_holm": answer.p_margin_holm,
        "mcnemar": [_mcnemar(test) for test in pair.mcnemar],
        "needed": planning.needed(answer),
        "variance": planning.shares(pair.components),
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
