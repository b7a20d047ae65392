"""Finished experiments and runs, as they lie under results/."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import HeadstartError, records

ROOT = Path("results")
_VERDICT = Path("comparison/verdict.json")
_FINISH = "run it to the end with snakemake"


@dataclass(frozen=True)
class Run:
    """A trained run: its folder and its place in the experiment's grid."""

    folder: Path
    strategy: str
    fraction: float
    split: int
    seed: int


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why, for the user to read."""

    folder: Path
    reasons: dict[str, str]


def experiment(name: str | None) -> Choice:
    """The folder of a named experiment, or of the one whose verdict is the most recent.

    Raises:
        HeadstartError: there is none of that name, or none is finished.
    """
    there = _experiments()
    if name is None:
        if (choice := latest()) is not None:
            return choice
        way = f"{_FINISH}, or name one: --experiment {there[0].name}" if there else "run one first"
        raise HeadstartError(f"no experiment under {ROOT}/ is finished; {way}")
    if (folder := ROOT / name) not in there:
        names = ", ".join(folder.name for folder in there) or "none"
        raise HeadstartError(f"no experiment {name!r} under {ROOT}/; there are: {names}")
    return Choice(folder, {"experiment": name})


def latest() -> Choice | None:
    """The experiment whose verdict is the most recent; None when none has one."""
    finished = [folder for folder in _experiments() if (folder / _VERDICT).is_file()]
    if not finished:
        return None
    last = max(finished, key=lambda folder: (folder / _VERDICT).stat().st_mtime)
    why = "the only finished one" if len(finished) == 1 else f"the latest of {len(finished)}"
    return Choice(last, {"experiment": f"{last.name} ({why})"})


def _experiments() -> list[Path]:
    return sorted(path.parent for path in ROOT.glob("*/classes.json"))


def run(
    experiment: Path,
    strategy: str | None,
    fraction: float | None,
    seed: int | None,
    split: int | None = None,
) -> Choice:
    """A trained run of an experiment.

    What is not given is the verdict's leader, the largest fraction, and the seed and split that
    did best on the validation images: choosing on test would make the test accuracy a boast.

    Raises:
        HeadstartError: the experiment has no such run, or no verdict to name the leader.
    """
    runs = trained_runs(experiment)
    reasons = {}
    if strategy is None:
        strategy = _leader(experiment, runs)
        reasons["strategy"] = f"{strategy} (the verdict's leader)"
    runs = _only(runs, "strategy", strategy)
    if seed is not None:
        runs = _only(runs, "seed", seed)
    if split is not None:
        runs = _only(runs, "split", split)
    if fraction is None:
        fraction = max(run.fraction for run in runs)
        reasons["fraction"] = f"{fraction} (the largest)"
    runs = _only(runs, "fraction", fraction)
    accuracy, _, _, _, best = max(
        ((*_on_val(run), -run.split, -run.seed, run) for run in runs),
        key=lambda scores: scores[:4],
    )
    if seed is None:
        shown = f"{100 * accuracy:.1f} % of the validation images"
        why = f"the best of {len(runs)}, with" if len(runs) > 1 else "the only one, with"
        reasons["seed"] = f"{best.seed} ({why} {shown})"
    given = {"strategy": best.strategy, "fraction": str(best.fraction), "seed": str(best.seed)}
    if len({run.split for run in trained_runs(experiment)}) > 1:
        given |= {"split": str(best.split)}
    return Choice(best.folder, given | reasons)


def trained_runs(experiment: Path) -> list[Run]:
    """The runs of an experiment that have a model, by strategy, fraction, split and seed.

    Raises:
        HeadstartError: there is none.
    """
    runs = []
    for path in sorted(experiment.glob("runs/*/*/*/*/run.json")):
        if path.with_name("model.safetensors").is_file():
            with records.reading(path):
                made = json.loads(path.read_text())
                strategy, fraction = str(made["strategy"]), float(made["fraction"])
                grid = strategy, fraction, int(made["split"]), int(made["seed"])
            runs.append(Run(path.parent, *grid))
    if not runs:
        raise HeadstartError(
            f"experiment {experiment.name!r} is not finished: it has no trained model; {_FINISH}"
        )
    return runs


def _leader(experiment: Path, runs: Sequence[Run]) -> str:
    if not (experiment / _VERDICT).exists():
        names = " or ".join(sorted({run.strategy for run in runs}))
        raise HeadstartError(
            f"experiment {experiment.name!r} is not finished: it has no verdict; {_FINISH}, "
            f"or choose a trained strategy: --strategy {names}"
        )
    with records.reading(experiment / _VERDICT) as path:
        return str(json.loads(path.read_text())["leader"])


def _only(runs: Sequence[Run], key: str, value: Any) -> list[Run]:
    kept = [run for run in runs if getattr(run, key) == value]
    if not kept:
        there = ", ".join(str(value) for value in sorted({getattr(run, key) for run in runs}))
        raise HeadstartError(f"no trained run has {key} {value!r}; there are: {there}")
    return kept


def _on_val(run: Run) -> tuple[float, float]:
    """Accuracy and negative loss of the kept epoch, by which training itself chose the epoch."""
    with records.reading(run.folder / "run.json") as path:
        epoch = int(json.loads(path.read_text())["best_epoch"])
    with records.reading(run.folder / "history.csv") as path:
        best: Any = pd.read_csv(path).set_index("epoch").loc[epoch]
        return float(best["val_accuracy"]), -float(best["val_loss"])
