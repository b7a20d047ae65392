"""Which run is exported: the one that the verdict speaks for, unless a person names another."""

import json
from dataclasses import dataclass
from pathlib import Path

from headstart import HeadstartError, results


@dataclass(frozen=True)
class Chosen:
    """A run's folder, its name within the experiment, and why it was taken."""

    folder: Path
    name: str
    reason: str


def choose(experiment: Path, name: str | None) -> Chosen:
    """The first seed, at the largest fraction, of the strategy that the verdict recommends.

    Where it recommends none, the leader takes its place. Which seed is no choice by its score:
    the strategy's mean, which the verdict is about, is that of any of its seeds.

    Args:
        name: strategy, or strategy/fraction-F/split-K/seed-S, or a beginning of that.

    Raises:
        HeadstartError: there is no such run or no verdict, or the strategy has no model.
    """
    if not (experiment / "classes.json").is_file():
        raise HeadstartError(f"{experiment} is no experiment's folder; give results/EXPERIMENT")
    if name is None:
        name, reason = _of_verdict(experiment)
    else:
        reason = "it was named with --run"
    runs = results.trained_runs(experiment)
    known = {str(run.folder.relative_to(experiment / "runs")): run for run in runs}
    wanted = name.strip("/")
    fitting = {full: run for full, run in known.items() if f"{full}/".startswith(f"{wanted}/")}
    if not fitting:
        raise HeadstartError(_missing(experiment, wanted, known))
    full = min(fitting, key=lambda key: _order(fitting[key]))
    return Chosen(fitting[full].folder, full, reason)


def _order(run: results.Run) -> tuple[float, int, int]:
    return -run.fraction, run.split, run.seed


def _of_verdict(experiment: Path) -> tuple[str, str]:
    """The strategy that the verdict speaks for, and how."""
    path = experiment / "comparison/verdict.json"
    if not path.is_file():
        raise HeadstartError(
            f"experiment {experiment.name!r} is not finished: it has no verdict; run it to the end "
            "with snakemake, or choose a run: --run STRATEGY"
        )
    verdict = json.loads(path.read_text())
    if verdict["recommended"]:
        return verdict["recommended"], "the verdict recommends its strategy"
    return verdict["leader"], "the verdict recommends none, and its strategy leads"


def _missing(experiment: Path, wanted: str, known: dict[str, results.Run]) -> str:
    names = ", ".join(sorted({run.strategy for run in known.values()}))
    there = experiment / "runs" / wanted
    if not Path(wanted).is_absolute() and any(there.rglob("run.json")):
        return (
            f"{wanted} is an ensemble, which has no model of its own; choose the run of another "
            f"strategy: --run {names.replace(', ', ' or ')}"
        )
    return f"no trained run {wanted!r} in {experiment}; there are runs of: {names}"
