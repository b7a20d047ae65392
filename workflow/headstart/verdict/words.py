"""The verdict in words and as a table, for people."""

import json
import textwrap
from pathlib import Path

import pandas as pd

TABLE_WIDTH = 100
#: Share of the leader's gain over the majority from which shortcuts are worth a warning.
_NEAR = 0.5


def statement(verdict: dict, runs: pd.DataFrame) -> str:
    """The verdict in plain English: a sentence on who leads, and one of remarks where needed.

    Args:
        verdict: as in verdict.json, but for the statement itself.
        runs: the runs compared, columns strategy, device_seconds and device.
    """
    remarks = [_floor(verdict), _cost(verdict, runs), _shortcut(verdict), _single_seed(verdict)]
    second = "; ".join(remark for remark in remarks if remark)
    return f"{_lead(verdict)} {second[0].upper()}{second[1:]}." if second else _lead(verdict)


def closing_lines(results: Path) -> str:
    """What a finished experiment leaves on the terminal: table, verdict, where to look."""
    verdict = json.loads((results / "comparison" / "verdict.json").read_text())
    summary = pd.read_csv(results / "comparison" / "summary.csv")
    return "\n".join(
        [
            "",
            verdict_table(verdict, summary),
            "",
            *textwrap.wrap(f"Verdict: {verdict['statement']}", TABLE_WIDTH),
            "",
            f"Report:    {results / 'report.html'}",
            "MLflow UI: headstart ui",
        ]
    )


def verdict_table(verdict: dict, summary: pd.DataFrame) -> str:
    """The strategies, best first, as an aligned plain-text table of at most 100 columns.

    Args:
        verdict: as in verdict.json.
        summary: as in summary.csv.
    """
    trained = "seeds" if verdict["n_splits"] == 1 else "runs"
    rows = [
        ("strategy", "accuracy", "95 % interval", trained, "device time", "trainable parameters")
    ]
    at_fraction = summary[summary["fraction"] == verdict["fraction"]].set_index("strategy")
    for entry in verdict["strategies"]:
        row = at_fraction.loc[entry["strategy"]]
        rows.append(
            (
                entry["strategy"],
                f"{_percent(entry['accuracy'])} %",
                f"{_percent(entry['low'])} to {_percent(entry['high'])} %",
                str(entry["seeds"] if verdict["n_splits"] == 1 else entry["runs"]),
                duration(row["device_seconds"]),
                f"{int(row['trainable_parameters']):,}",
            )
        )
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    gaps = 2 * (len(widths) - 1)
    widths[0] = min(widths[0], TABLE_WIDTH - gaps - sum(widths[1:]))
    lines = []
    for name, *cells in rows:
        if len(name) > widths[0]:
            name = name[: widths[0] - 1] + "…"
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`8.2 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _lead(verdict: dict) -> str:
    best = verdict["strategies"][0]
    images = f"{verdict['n_test']:,} test images"
    accuracy = (
        f"{'a mean' if best['runs'] > 1 else 'an'} accuracy of {_percent(best['accuracy'])} % "
        f"(95 % interval {_percent(best['low'])} to {_percent(best['high'])} %, "
        f"{replicates(best)})"
    )
    if len(verdict["strategies"]) == 1:
        return f"{best['strategy']}, the only strategy, reaches {accuracy} on {images}."
    against = [pair for pair in verdict["comparisons"] if pair["a"] == best["strategy"]]
    clear = [_against(pair) for pair in against if pair["distinguishable"]]
    level = [_against(pair) for pair in against if not pair["distinguishable"]]
    if not level:
        relation = f"distinguishable on {images} from {_joined(clear)}"
    else:
        relation = f"not distinguishable on {images} from {_joined(level)}"
        relation += f", but distinguishable from {_joined(clear)}" if clear else ""
    return f"{best['strategy']} leads with {accuracy}: {relation}."


def replicates(entry: dict) -> str:
    """How often a strategy was trained: 3 seeds; 5 splits × 2 seeds; 3 seeds, a split each."""
    seeds = f"{entry['seeds']} seed{'' if entry['seeds'] == 1 else 's'}"
    if entry["splits"] == 1:
        return seeds
    crossed = entry["runs"] == entry["splits"] * entry["seeds"]
    return f"{entry['splits']} splits × {seeds}" if crossed else f"{seeds}, a split each"


def _against(pair: dict) -> str:
    bounds = pair["low"], pair["high"]
    digits = 2 if 0 < min(abs(bound) for bound in bounds) < 0.0005 else 1
    low, high = (f"{_points(bound, digits):.{digits}f}" for bound in bounds)
    difference = f"{_points(pair['difference'], digits):+.{digits}f}"
    return (
        f"{pair['b']} ({difference} points, {low} to {high}, Holm-adjusted p {_p(pair['p_holm'])})"
    )


def _cost(verdict: dict, runs: pd.DataFrame) -> str:
    """Which of the strategies that nothing sets apart from the leader is the cheapest."""
    leader = verdict["leader"]
    level = [leader] + [
        pair["b"]
        for pair in verdict["comparisons"]
        if pair["a"] == leader and not pair["distinguishable"]
    ]
    if len(level) == 1:
        return ""
    seconds = runs["device_seconds"]
    cost = {name: seconds[runs["strategy"] == name].mean() for name in level}
    cheapest = min(cost, key=lambda name: cost[name])
    start = f"of {_joined(level)}, the cheapest to train is {cheapest}"
    if cheapest == leader:
        return f"{start} ({duration(cost[leader])} a run)"
    times = f"{duration(cost[cheapest])} a run, while {leader} takes {duration(cost[leader])}"
    ratio = f", {_times(cost[leader] / cost[cheapest])}" if cost[cheapest] > 0 else ""
    devices = runs.loc[runs["strategy"].isin([leader, cheapest]), "device"].nunique()
    caution = ", on different devices" if devices > 1 else ""
    return f"{start} ({times}{ratio}{caution})"


def _floor(verdict: dict) -> str:
    best, floor = verdict["strategies"][0], verdict["majority_floor"]
    if best["low"] > floor:
        return ""
    relation = "does not beat" if best["accuracy"] <= floor else "is not distinguishable from"
    return (
        f"the best accuracy {relation} that of always answering the most common class "
        f"({_percent(floor)} %)"
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
        f"beware, {_percent(floor['accuracy'])} % are right without a look at the pictures, and "
        f"{trait} alone tells {_percent(alone)} %: see the report"
    )


def _single_seed(verdict: dict) -> str:
    if verdict["n_seeds"] > 1:
        return ""
    return "one seed: seed-to-seed variation is not measured"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(difference: float, digits: int) -> float:
    """A difference of accuracies in rounded points, without a minus before a zero."""
    return round(100 * difference, digits) + 0.0


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times as long" if ratio < 10 else f"{ratio:,.0f} times as long"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def _joined(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
