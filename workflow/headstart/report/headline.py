"""The first screen's words: the answer in one sentence, what to take, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from headstart.report.formats import count, duration
from headstart.verdict import words
from headstart.verdict.phrases import joined, margin, writer
from headstart.verdict.tables import seconds

MOST_NAMED = 3


def answer(verdict: Mapping[str, Any]) -> str:
    """Who leads, and over whom that is shown, in one sentence without its full stop."""
    best, write = verdict["strategies"][0], writer(dict(verdict))
    name, reached = best["strategy"], f"{write(best['mean'])} {verdict['metric_name']}"
    if len(verdict["strategies"]) == 1:
        return f"{name}, the only strategy, reaches {reached}"
    pairs = [pair for pair in verdict["comparisons"] if pair["a"] == name]
    told = _told(pairs, dict(verdict))
    chosen = verdict["recommended"]
    if chosen and chosen != name:
        (own,) = [one for one in verdict["strategies"] if one["strategy"] == chosen]
        return (
            f"{chosen} is enough: with {write(own['mean'])} {verdict['metric_name']} it is as good "
            f"as {name} ({write(best['mean'])}) within {margin(dict(verdict))}"
        )
    return f"{name} leads with {reached}: {told}"


def _told(pairs: Sequence[Mapping[str, Any]], verdict: dict[str, Any]) -> str:
    said = []
    for kind, relation in (
        ("better", "better than"),
        ("as good", f"within {margin(verdict)} of"),
        ("undecided", "undecided against"),
    ):
        others = [pair["b"] for pair in pairs if pair["answer"] == kind]
        said += [f"{relation} {_some(others, len(pairs))}"] if others else []
    return joined(said)


def _some(names: Sequence[str], of: int) -> str:
    """The names, or where they are too many for a sentence how many they are."""
    if len(names) <= MOST_NAMED:
        return joined(list(names))
    return "all others" if len(names) == of else f"{len(names)} others"


def advice(verdict: Mapping[str, Any], runs: pd.DataFrame) -> str:
    """What to take, or what would decide, or a caution where one seed tells neither."""
    text = words.advice(dict(verdict), runs) or words.single_models(dict(verdict))
    return f"{text[0].upper()}{text[1:]}." if text else ""


def costs(verdict: Mapping[str, Any], runs: pd.DataFrame, summary: pd.DataFrame) -> str:
    """What a run of the strategy costs that is recommended, or leads."""
    name = verdict["recommended"] or verdict["leader"]
    spent = seconds(runs)[name]
    rows = summary[summary.strategy == name]
    return (
        f"A run of {name} costs {duration(spent)} of device time and trains "
        f"{count(rows.trainable_parameters.max())} parameters."
    )
