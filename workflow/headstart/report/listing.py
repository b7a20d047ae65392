"""The report's tables, each from the study's own records."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headstart.report.formats import count, duration, number, p_value, percent, points, size
from headstart.report.study import Run, Study
from headstart.report.tables import Column, Record, Table, records
from headstart.verdict.phrases import writer

PARTS = ("train", "val", "test")
STRATEGY = Column("Strategy", "strategy")
FRACTION = Column("Train images used", "fraction", lambda share: percent(share, 0))
ACCURACY = Column("Test accuracy", "accuracy", percent, ("accuracy_low", "accuracy_high"))
SCORES = (
    ACCURACY,
    Column("Balanced accuracy", "balanced_accuracy", percent),
    Column("Macro-F1", "macro_f1", number),
    Column("Log loss", "log_loss", number),
    Column("ECE", "ece", number),
)
COSTS = (
    Column("Device time", "device_seconds", duration),
    Column("Wall time", "train_seconds", duration),
    Column("Images/s", "images_per_second", count),
    Column("Peak memory", "peak_memory_bytes", size),
    Column("Trainable parameters", "trainable_parameters", count),
    Column("Trials", "trials", count),
)
PAIR = Column("Pair", "pair")
ANSWER = Column("Answer", "answer")
BETTER = (
    Column("Difference in points", "difference", points),
    Column("Interval for better", "low", points, ("low", "high"), bare=True),
    Column("Holm p", "p_holm", p_value),
)


def tables(study: Study) -> dict[str, Table]:
    """Every table of the report by its name; those that have nothing to say are left out."""
    found = [*_main(study), *_of_pairs(study), *_of_fractions(study), *_of_tuning(study)]
    found += [each for name in study.tests for each in _of_test(study, name)]
    return {
        table.name: table for table in (*found, per_class(study), images(study)) if table.records
    }


def _main(study: Study) -> Iterator[Table]:
    verdict = study.verdict
    chances = {one["strategy"]: one["chance_best"] for one in verdict["strategies"]}
    rows = [
        {**row, "chance_best": chances.get(row["strategy"])}
        for row in records(study.summary_at(verdict["fraction"]))
    ]
    best = Column("The best, chance", "chance_best", lambda share: percent(share, 0))
    caption = f"Scores on {verdict['n_test']:,} test images, with 95 % intervals"
    made = [Column("Made from others", "derived")] if study.summary["derived"].any() else []
    columns = [STRATEGY, *made, *SCORES, best, Column("Runs", "runs", count)]
    yield Table("results", caption, columns, rows, verdict["leader"])
    if verdict["metric"] != "accuracy":
        write = writer(dict(verdict))
        mean = Column(verdict["metric_name"].capitalize(), "mean", write, ("low", "high"))
        caption = f"Mean {verdict['metric_name']}, which the verdict compares, with 95 % intervals"
        yield Table("means", caption, [STRATEGY, mean], verdict["strategies"], verdict["leader"])
    caption = "What a run of each strategy costs"
    yield Table("costs", caption, [STRATEGY, ACCURACY, *COSTS], rows, verdict["leader"])


def _pairs(verdict: Mapping[str, Any]) -> list[Record]:
    return [
        {**pair, "pair": _named(pair), "answer": _said(pair)} for pair in verdict["comparisons"]
    ]


def _named(pair: Mapping[str, Any]) -> str:
    return f"{pair['a']} − {pair['b']}"


def _said(pair: Mapping[str, Any]) -> str:
    less = pair["answer"] == "better" and pair["within_margin"]
    said = f"{pair['answer']}, by less than the margin" if less else pair["answer"]
    return f"{said}, of single models" if pair["about"] == "models" else said


def _of_pairs(study: Study) -> Iterator[Table]:
    pairs = _pairs(study.verdict)
    as_good = Column(
        "Interval for as good", "margin_low", points, ("margin_low", "margin_high"), True
    )
    columns = [PAIR, ANSWER, *BETTER, as_good, Column("Holm p, margin", "p_margin_holm", p_value)]
    yield Table("differences", "Differences between strategies", columns, pairs)
    columns = [PAIR, ANSWER, Column("Test images", "images", count)]
    columns += [Column("Seeds each", "seeds", count), Column("Both together", "together")]
    columns += [
        Column(f"Due to {source}", source_key, lambda share: percent(share, 0))
        for source, source_key in (("images", "v_images"), ("seeds", "v_seeds"), ("both", "v_both"))
    ]
    caption = "What would decide each pair, and where its uncertainty comes from"
    yield Table(
        "deciding", caption, columns, [_deciding(pair) for pair in study.verdict["comparisons"]]
    )
    tests = [{"pair": pair["pair"], **test} for pair in pairs for test in pair["mcnemar"]]
    split = [Column("Split", "split", count)] if study.verdict["n_splits"] > 1 else []
    columns = [PAIR, *split, Column("Seed", "seed", str)]
    columns += [Column("Only the first right", "only_a", count)]
    columns += [Column("Only the second right", "only_b", count), Column("p", "p", p_value)]
    yield Table("mcnemar", "McNemar's exact test, seed by seed", columns, tests)


def _deciding(pair: Mapping[str, Any]) -> Record:
    needed, variance = pair["needed"], pair["variance"] or {}
    both = needed["together"]
    open_ = pair["answer"] == "undecided"
    return {
        "pair": _named(pair),
        "answer": _said(pair),
        "images": needed["images"] if open_ else None,
        "seeds": needed["seeds"] if open_ else None,
        "together": f"{both['images']:,} with {both['seeds']} seeds" if open_ and both else None,
        **{f"v_{source}": variance.get(source) for source in ("images", "seeds", "both")},
    }


def _of_fractions(study: Study) -> Iterator[Table]:
    whole = np.isclose(study.summary["fraction"], study.verdict["fraction"])
    rows = study.summary[~whole].sort_values(["fraction", "accuracy"], ascending=False)
    columns = [STRATEGY, FRACTION, *SCORES, COSTS[0]]
    yield Table("fractions", "Scores with fewer training images", columns, records(rows))
    growth = (study.verdict["learning_curve"] or {"growth": ()})["growth"]
    gains = [{**one, **{f"gain_{k}": v for k, v in (one["gain"] or {}).items()}} for one in growth]
    empty = dict.fromkeys(("gain_value", "gain_low", "gain_high", "gain_misfit"))
    columns = [
        STRATEGY,
        Column("Points a doubling, at the end", "slope", points, ("low", "high")),
        Column("Points from twice the images", "gain_value", points, ("gain_low", "gain_high")),
        Column("Misfit of the power law", "gain_misfit", points),
    ]
    caption = "What more training images would add"
    yield Table("growth", caption, columns, [empty | one for one in gains])


def _of_tuning(study: Study) -> Iterator[Table]:
    rows = [
        {
            **choice["place"],
            "fraction": float(choice["place"]["fraction"]),
            **trial,
            "tried": setting(trial),
            "chosen": "chosen" if number == choice["chosen"] else "",
        }
        for choice in study.choices
        for number, trial in enumerate(choice["trials"])
    ]
    columns = [STRATEGY, FRACTION, Column("Split", "split", str), Column("Tried", "tried")]
    columns += [Column("Chosen", "chosen"), Column("Validation loss", "val_loss", number)]
    columns += [Column("Validation accuracy", "val_accuracy", percent), COSTS[0]]
    yield Table("tuning", "What tuning tried on validation", columns, rows)


def setting(trial: Mapping[str, Any]) -> str:
    """What a trial tried, in words: lr 0.0003, norm frozen."""
    return ", ".join(f"{name} {value}" for name, value in trial["tried"].items()) or "as written"


def _of_test(study: Study, name: str) -> Iterator[Table]:
    there, write = study.tests[name], writer(dict(study.verdict))
    home = {one["strategy"]: one for one in study.verdict["strategies"]}
    rows = [
        {**one, **{f"home_{end}": home[one["strategy"]][end] for end in ("mean", "low", "high")}}
        for one in there["strategies"]
    ]
    metric = study.verdict["metric_name"].capitalize()
    columns = [
        STRATEGY,
        Column(f"{metric} on {name}", "mean", write, ("low", "high")),
        Column("At home", "home_mean", write, ("home_low", "home_high")),
        Column("The best, chance", "chance_best", lambda share: percent(share, 0)),
    ]
    caption = f"Scores on {name}, {there['n_test']:,} images, and at home"
    yield Table(f"elsewhere_{name}", caption, columns, rows, there["leader"])
    columns = [PAIR, ANSWER, *BETTER]
    caption = f"Differences between strategies on {name}"
    yield Table(f"elsewhere_{name}_differences", caption, columns, _pairs(there))


def confusion(runs: list[Run]) -> np.ndarray:
    """Counts of all runs together, int (K, K), rows true and columns predicted."""
    return np.sum([run.metrics["confusion"] for run in runs], axis=0)


def per_class(study: Study) -> Table:
    """Recall and precision of each class, over all runs of a strategy."""
    strategies = study.compared
    first, *others = next(iter(strategies.values()))
    once = [first, *(run for run in others if run.place[1] == first.place[1])]  # every fold
    support = confusion(once).sum(axis=1)
    rows: list[Record] = [
        {"class": name, "n": int(n)}
        for name, n in zip(first.metrics["classes"], support, strict=True)
    ]
    columns = [Column("Class", "class"), Column("Test images", "n", count)]
    for strategy, runs in strategies.items():
        counts = confusion(runs)
        for what, axis in (("recall", 1), ("precision", 0)):
            key = f"{strategy}_{what}"
            columns.append(Column(f"{strategy}: {what}", key, percent))
            for row, hits, total in zip(rows, np.diag(counts), counts.sum(axis=axis), strict=True):
                row[key] = hits / total if total else None
    return Table("per_class", "Each class on test, over all runs", columns, rows)


def images(study: Study) -> Table:
    """Images by class and part of the first split."""
    first = next(name for name in map(str, study.split) if name.startswith("split-"))
    labelled = study.split.merge(study.manifest[["id", "label"]], on="id", how="left")
    counts = pd.crosstab(labelled["label"].astype(str).rename("class"), labelled[first])
    counts = counts.reindex(columns=list(PARTS), fill_value=0).sort_index()
    rows = records(counts.assign(all=counts.sum(axis=1)).reset_index())
    numbers = [Column(name.capitalize(), name, count) for name in (*PARTS, "all")]
    return Table("images", "Images of each class", [Column("Class", "class"), *numbers], rows)
