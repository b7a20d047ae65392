"""The verdict in words for people."""

from collections import Counter

import pandas as pd

from headstart.verdict.phrases import (
    article,
    between,
    duration,
    joined,
    margin,
    p_value,
    percent,
    points,
    replicates,
    rounded,
    times,
    writer,
)
from headstart.verdict.tables import seconds

_RELATIONS = {
    "better": "better than",
    "as good": "as good as",
    "undecided": "undecided against",
}
#: Points of optimism from which it is told.
_WORTH_TELLING = 0.1
#: Share of the leader's gain over the majority from which shortcuts are worth a warning.
_NEAR = 0.5


def statement(verdict: dict, runs: pd.DataFrame) -> str:
    """The verdict in plain English: who leads and what is shown of the others, what to take, and
    remarks where they are needed.

    Args:
        verdict: as in verdict.json, but for the statement itself.
        runs: the runs compared, columns strategy, device_seconds and device.
    """
    remarks = [_floor(verdict), _shortcut(verdict), _optimism(verdict), single_models(verdict)]
    joint = "; ".join(remark for remark in remarks if remark)
    abroad = [each["statement"] for each in verdict["tests"]]
    sentences = [advice(verdict, runs), *_learning(verdict), *abroad, joint]
    said = [f"{text[0].upper()}{text[1:]}." for text in sentences if text]
    return " ".join(filter(None, [incomplete(verdict), _lead(verdict), *said]))


def incomplete(verdict: dict) -> str:
    """That runs are missing, and which, in a sentence; nothing where all are there."""
    missing = verdict["missing"]
    if not missing:
        return ""
    counts = Counter(run["strategy"] for run in missing)
    named = joined([f"{count} of {name}" for name, count in counts.items()])
    runs = "1 run has" if len(missing) == 1 else f"{len(missing)} runs have"
    return f"{runs} failed ({named}), and this compares what is left."


def failures(verdict: dict) -> dict[str, list[str]]:
    """The runs that are missing, below each reason."""
    by_reason: dict[str, list[str]] = {}
    for run in verdict["missing"]:
        place = f"fraction {run['fraction']:g}, split {run['split']}, seed {run['seed']}"
        by_reason.setdefault(run["reason"], []).append(f"{run['strategy']}, {place}")
    return by_reason


def _lead(verdict: dict) -> str:
    best, write = verdict["strategies"][0], writer(verdict)
    images = f"{verdict['n_test']:,} test images"
    mean = (
        f"{'a mean' if best['runs'] > 1 else article(verdict['metric_name'])} "
        f"{verdict['metric_name']} of {write(best['mean'])} "
        f"(95 % interval {between(write, best)}, {replicates(best)})"
    )
    if len(verdict["strategies"]) == 1:
        return f"{best['strategy']}, the only strategy, reaches {mean} on {images}."
    against = [pair for pair in verdict["comparisons"] if pair["a"] == best["strategy"]]
    said = [
        f"{words} {joined([_against(pair) for pair in against if pair['answer'] == answer])}"
        for answer, words in _RELATIONS.items()
        if any(pair["answer"] == answer for pair in against)
    ]
    return f"{best['strategy']} leads with {mean} on {images}: {joined(said)}."


def _against(pair: dict) -> str:
    """The other strategy, the difference in points, its interval and its adjusted p.

    The interval and p are those that the answer rests on.
    """
    kind = "margin_" if pair["answer"] == "as good" else ""
    bounds = pair[f"{kind}low"], pair[f"{kind}high"]
    digits = 2 if 0 < min(abs(bound) for bound in bounds) < 0.0005 else 1
    low, high = (f"{points(bound, digits):.{digits}f}" for bound in bounds)
    difference = f"{points(pair['difference'], digits):+.{digits}f} points, {low} to {high}"
    p = pair["p_margin_holm" if kind else "p_holm"]
    test = f"Holm-adjusted p {p_value(p)}"
    if pair["about"] == "models" and len(pair["mcnemar"]) == 1:
        test = f"McNemar's exact p {p_value(pair['mcnemar'][0]['p'])}, {test}"
    if pair["answer"] == "better" and pair["within_margin"]:
        test = f"{test}, though by less than the margin"
    return f"{pair['b']} ({difference}, {test})"


def advice(verdict: dict, runs: pd.DataFrame) -> str:
    """Which strategy to take, or what it would take to know."""
    if len(verdict["strategies"]) == 1 or all(map(_is_model, verdict["strategies"])):
        return ""
    if verdict["recommended"]:
        return _take(verdict, runs)
    start = f"no strategy is shown to be as good as the best within {margin(verdict)}"
    pair = _blocking(verdict)
    unit = "groups of test images" if verdict["n_groups"] else "test images"
    return f"{start}; {_needed(pair, unit)}" if pair else start


def _take(verdict: dict, runs: pd.DataFrame) -> str:
    """The recommended strategy and what it saves over the leader."""
    name, leader = verdict["recommended"], verdict["leader"]
    cost = seconds(runs)
    if name == leader:
        return f"take {name} ({duration(cost[name])} a run)"
    spent = f"{duration(cost[name])} a run, while {leader} takes {duration(cost[leader])}"
    ratio = f", {times(cost[leader] / cost[name])}" if cost[name] > 0 else ""
    devices = runs.loc[runs["strategy"].isin([leader, name]), "device"].nunique()
    caution = ", on different devices" if devices > 1 else ""
    return (
        f"take {name}, the cheapest that is as good as the best within {margin(verdict)} "
        f"({spent}{ratio}{caution})"
    )


def _blocking(verdict: dict) -> dict | None:
    """The first undecided pair of strategies, the leader's before the others'."""
    undecided = [
        pair
        for pair in verdict["comparisons"]
        if pair["answer"] == "undecided" and pair["about"] == "strategies"
    ]
    return next(iter(undecided), None)


def _needed(pair: dict, unit: str) -> str:
    """How many images, or groups of them, or seeds would decide a pair."""
    images, seeds = pair["needed"]["images"], pair["needed"]["seeds"]
    question = f"between {pair['a']} and {pair['b']}"
    ways = [f"{rounded(images):,} {unit}"] if images else []
    ways += [f"{seeds} seeds each"] if seeds else []
    if both := pair["needed"]["together"]:
        count = f"{rounded(both['images']):,} {unit} with {both['seeds']} seeds each"
        return f"roughly {count} would decide {question}"
    if not ways:
        return f"deciding {question} takes more images and more seeds"
    alone = "" if images else f" (no number of {unit} alone)"
    return f"roughly {' or '.join(ways)}{alone} would decide {question}"


def _learning(verdict: dict) -> list[str]:
    """Where the leader overtakes another strategy, and what more training images would give it."""
    if not verdict["learning_curve"]:
        return []
    leader, said = verdict["leader"], []
    for crossing in verdict["learning_curve"]["crossovers"]:
        if crossing["a"] == leader and (crossing["low"] or crossing["high"]):
            share = f"{100 * crossing['fraction']:.0f} %"
            place = f"at about {share} of the training images ({_stretch(crossing)})"
            said.append(f"{place} {leader} overtakes {crossing['b']}")
    growth = [one for one in verdict["learning_curve"]["growth"] if one["strategy"] == leader]
    return said + [_more_images(leader, one) for one in growth]


def _stretch(crossing: dict) -> str:
    """The interval of a crossing, whose ends may lie beyond the fractions that were run."""
    low, high = crossing["low"], crossing["high"]
    if low is None:
        return f"at most {100 * high:.0f} %"
    if high is None:
        return f"at least {100 * low:.0f} %"
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def _more_images(name: str, growth: dict) -> str:
    slope = f"{points(growth['slope'], 1):+.1f} points a doubling at the end"
    interval = f"{points(growth['low'], 1):.1f} to {points(growth['high'], 1):.1f}"
    helps = "help" if growth["low"] > 0 else "are not shown to help"
    text = f"more training images {helps} {name} ({slope}, {interval})"
    if growth["gain"] and growth["low"] > 0:
        gained = growth["gain"]
        low, high = (f"{points(gained[end], 1):.1f}" for end in ("low", "high"))
        text += (
            f"; twice as many would add about {points(gained['value'], 1):.1f} ({low} to {high})"
        )
    return text


def _floor(verdict: dict) -> str:
    floor, best = verdict["floor"], verdict["strategies"][0]
    if not floor or floor["low"] > 0:
        return ""
    relation = "does not beat" if floor["difference"] <= 0 else "is not shown to beat"
    return (
        f"the best {verdict['metric_name']}, {best['strategy']}'s, {relation} that of always "
        f"answering the most common class ({writer(verdict)(floor['value'])})"
    )


def _shortcut(verdict: dict) -> str:
    """A caution where much of what the leader gains over the majority needs no picture."""
    floor, best = verdict["shortcut_floor"], verdict["strategies"][0]
    if not floor or floor["low"] <= verdict["majority_floor"]:
        return ""
    gained = floor["accuracy"] - verdict["majority_floor"]
    if gained < _NEAR * (best["accuracy"] - verdict["majority_floor"]):
        return ""
    trait, alone = next(iter(floor["alone"].items()))
    return (
        f"beware, {percent(floor['accuracy'])} % are right without a look at the pictures, and "
        f"{trait} alone tells {percent(alone)} %: see the report"
    )


def _optimism(verdict: dict) -> str:
    """How much of the leader's mean is luck, since it leads by that mean."""
    luck = 100 * verdict["optimism"]
    if luck < _WORTH_TELLING:
        return ""
    return (
        f"chosen by its own score, {verdict['leader']} may owe about {luck:.1f} points of it "
        "to luck"
    )


def single_models(verdict: dict) -> str:
    """A caution where a strategy has one seed: what is said of it holds for that model."""
    single = [entry["strategy"] for entry in verdict["strategies"] if _is_model(entry)]
    if not single:
        return ""
    if len(single) == len(verdict["strategies"]):
        subject = {1: "this trained model", 2: "these two trained models"}
        return (
            f"one seed: all this is about {subject.get(len(single), 'these trained models')}; "
            "of strategies, two seeds or more tell"
        )
    if len(single) == 1:
        return f"what is said of {single[0]}, which has one seed, holds for that model alone"
    return f"what is said of {joined(single)}, which have one seed, holds for those models alone"


def _is_model(entry: dict) -> bool:
    """Whether one trained model is all there is of a strategy."""
    return entry["seeds"] == 1 and not entry["deterministic"]
