"""What a report shows: the results of an experiment, read once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.data.cache import ImageCache


@dataclass(frozen=True)
class Run:
    """One run's records, and where its other files are."""

    folder: Path
    made_by: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def strategy(self) -> str:
        return str(self.made_by["strategy"])

    @property
    def fraction(self) -> float:
        return float(self.made_by["fraction"])

    @property
    def place(self) -> tuple[int, int]:
        """Split and seed."""
        return int(self.made_by["split"]), int(self.made_by["seed"])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The content of predictions.parquet."""
        return pd.read_parquet(self.folder / "predictions.parquet")

    def answers(self) -> pd.DataFrame:
        """Its columns id, label and predicted."""
        columns = ["id", "label", "predicted"]
        return pd.read_parquet(self.folder / "predictions.parquet", columns=columns)

    def history(self) -> pd.DataFrame | None:
        """The content of history.csv; an ensemble has none."""
        path = self.folder / "history.csv"
        return pd.read_csv(path) if path.exists() else None


@dataclass(frozen=True)
class Study:
    """What a report shows.

    Attributes:
        experiment: the plain configuration.
        verdict: the content of verdict.json; `summary` and `runs_table`: the tables of comparison/.
        run_dirs: each holds run.json, metrics.json, predictions.parquet and, but for an ensemble,
            history.csv; the first of a strategy at the verdict's fraction evidence.npz too.
        manifest: and `split`, the contents of manifest.csv and split.csv, with their notes.
        cache: the decoded images, and in `image` how models see them, from backbone/config.json.
        suspects: and `copies`, the tables of health/.
        sanity_figures: by caption.
        choices: the content of every choice.json of a tuning.
        tests: the verdict of each further test set, by name, and in `test_notes` its notes.
    """

    experiment: Mapping[str, Any]
    verdict: Mapping[str, Any]
    summary: pd.DataFrame
    runs_table: pd.DataFrame
    run_dirs: list[Path]
    manifest: pd.DataFrame
    split: pd.DataFrame
    notes: list[str]
    cache: ImageCache
    image: Mapping[str, Any]
    suspects: pd.DataFrame
    copies: pd.DataFrame
    sanity_figures: Mapping[str, Path]
    choices: Sequence[Mapping[str, Any]] = ()
    tests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test_notes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def runs(self) -> list[Run]:
        """Every run, in the order of the folders.

        Raises:
            HeadstartError: a record cannot be read.
        """
        return [Run(f, _read(f / "run.json"), _read(f / "metrics.json")) for f in self.run_dirs]

    def at(self, fraction: float) -> dict[str, list[Run]]:
        """Runs by strategy at a fraction, the strategies in the order of the verdict.

        Ensembles, which a verdict cannot judge, come last.
        """
        order = [one["strategy"] for one in self.verdict["strategies"]]
        there = [run for run in self.runs if np.isclose(run.fraction, fraction)]
        names = list(dict.fromkeys([*order, *(run.strategy for run in there)]))
        found = {name: [run for run in there if run.strategy == name] for name in names}
        return {name: runs for name, runs in found.items() if runs}

    @cached_property
    def compared(self) -> dict[str, list[Run]]:
        """Runs by strategy at the verdict's fraction."""
        return self.at(self.verdict["fraction"])

    @cached_property
    def shown(self) -> dict[str, Run]:
        """The run of each strategy whose mistakes are shown: its first."""
        return {name: runs[0] for name, runs in self.compared.items()}

    def summary_at(self, fraction: float) -> pd.DataFrame:
        """Rows of the summary at a fraction, the highest accuracy first."""
        rows = self.summary[np.isclose(self.summary["fraction"], fraction)]
        return rows.sort_values("accuracy", ascending=False, kind="stable")

    @property
    def fractions(self) -> list[float]:
        return sorted(map(float, self.summary["fraction"].unique()))


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{path}: cannot be read ({error}); make this run again") from error
