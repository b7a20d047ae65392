"""Run folders enter; their records and predictions leave, and a study of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.verdict.scores import Key, Run, Scores, Study

Score = Callable[[pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Result:
    """One evaluated run.

    Attributes:
        folder: of the run.
        run: content of run.json.
        metrics: content of metrics.json.
        predictions: columns label and predicted, indexed by image id and sorted by it.
    """

    folder: Path
    run: dict
    metrics: dict
    predictions: pd.DataFrame

    @property
    def key(self) -> Key:
        return self.run["strategy"], float(self.run["fraction"])

    @property
    def split(self) -> int:
        return int(self.run.get("split", 0))

    @property
    def seed(self) -> int:
        return int(self.run["seed"])


def read(folders: Sequence[Path]) -> list[Result]:
    """Read runs, in the order given.

    Raises:
        HeadstartError: no folders, a file is missing, a run is given twice, or two runs of one
            split were evaluated on different test images.
    """
    if not folders:
        raise HeadstartError("no runs to compare; train and evaluate at least one")
    results = [
        Result(
            folder,
            _json(folder / "run.json"),
            _json(folder / "metrics.json"),
            _predictions(folder / "predictions.parquet"),
        )
        for folder in folders
    ]
    _check_each_once(results)
    _check_same_images(results)
    return results


def right_or_wrong(predictions: pd.DataFrame) -> np.ndarray:
    """The score of accuracy, float (n,): 1.0 where the answer is the label, else 0.0."""
    return (predictions["label"] == predictions["predicted"]).to_numpy(dtype=float)


def study(results: Sequence[Result], score: Score = right_or_wrong) -> Study:
    """Every run's scores, aligned by image id.

    Args:
        results: from `read`, at least one.
        score: from a run's predictions to float (n,), one score per row.
    """
    images = reduce(pd.Index.union, (result.predictions.index for result in results))
    rows: dict[Key, dict[Run, np.ndarray]] = {}
    for result in results:
        row = np.full(len(images), np.nan)
        row[images.get_indexer(result.predictions.index)] = score(result.predictions)
        rows.setdefault(result.key, {})[result.split, result.seed] = row
    cells = {
        key: Scores(tuple(sorted(runs)), np.array([runs[run] for run in sorted(runs)]))
        for key, runs in rows.items()
    }
    return Study(tuple(images), cells, _majority_floor(results))


def grouped(study: Study, groups: pd.Series) -> Study:
    """The study with its images in groups.

    Args:
        groups: the group of each image by its id; an image of group '' stands alone.
    """
    own = groups.reindex(pd.Index(study.images)).fillna("")
    if (own == "").all():
        return study
    return replace(study, groups=pd.factorize(own.where(own != "", "\0" + own.index))[0])


def _check_each_once(results: Sequence[Result]) -> None:
    seen = set()
    for result in results:
        strategy, fraction = result.key
        run = (strategy, fraction, result.split, result.seed)
        if run in seen:
            raise HeadstartError(
                f"two runs are {strategy}, fraction {fraction:g}, split {result.split}, "
                f"seed {result.seed}; "
                "give each run once"
            )
        seen.add(run)


def _check_same_images(results: Sequence[Result]) -> None:
    """Runs of one split must have the same test images and labels."""
    firsts: dict[int, Result] = {}
    for result in results:
        first = firsts.setdefault(result.split, result)
        if not first.predictions["label"].equals(result.predictions["label"]):
            raise HeadstartError(
                f"{first.folder} and {result.folder} were evaluated on different test images or "
                "labels; rerun evaluate for both on the same split"
            )


def _majority_floor(results: Sequence[Result]) -> float:
    """The highest floor of the runs at the largest fraction."""
    largest = max(result.key[1] for result in results)
    return max(r.metrics["majority_floor"] for r in results if r.key[1] == largest)


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; train and evaluate this run first") from None


def _predictions(path: Path) -> pd.DataFrame:
    """Columns label and predicted, indexed by id and sorted by it."""
    try:
        frame = pd.read_parquet(path, columns=["id", "label", "predicted"])
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; evaluate this run first") from None
    return frame.set_index("id").sort_index()
