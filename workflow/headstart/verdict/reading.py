"""Run folders enter; their records and predictions leave, and a study of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.verdict import evaluation, metrics
from headstart.verdict.scores import Key, Scores, Study


@dataclass(frozen=True)
class Result:
    """One evaluated run.

    Attributes:
        folder: of the run's predictions.
        run: content of run.json.
        metrics: content of metrics.json.
        predictions: columns label and predicted, indexed by image id and sorted by it.
        fingerprint: hash of the probabilities of all test images.
    """

    folder: Path
    run: dict
    metrics: dict
    predictions: pd.DataFrame
    fingerprint: str

    @property
    def key(self) -> Key:
        return self.run["strategy"], float(self.run["fraction"])

    @property
    def split(self) -> int:
        return int(self.run.get("split", 0))

    @property
    def seed(self) -> int:
        return int(self.run["seed"])


def read(folders: Sequence[Path], records: Sequence[Path] | None = None) -> list[Result]:
    """Read runs, in the order given.

    Args:
        folders: each holds predictions.parquet and metrics.json.
        records: folders with the run.json of each, where these are others.

    Raises:
        HeadstartError: no folders, a file is missing, a run is given twice, or two runs of one
            split were evaluated on different test images.
    """
    if not folders:
        raise HeadstartError("no runs to compare; train and evaluate at least one")
    results = [_result(*pair) for pair in zip(folders, records or folders, strict=True)]
    _check_each_once(results)
    _check_same_images(results)
    return results


def with_seeds(results: Sequence[Result]) -> list[Result]:
    """The runs that a verdict can be about: an ensemble of all seeds leaves none to judge it by."""
    return [result for result in results if result.run.get("derived") != "ensemble"]


def study(results: Sequence[Result], metric: str = "accuracy") -> Study:
    """Every run's scores, aligned by image id.

    What a seed predicted on its folds is scored together, as one test of all images.

    Args:
        results: from `read`, at least one.
        metric: a key of `headstart.verdict.metrics.SCORES`.

    Raises:
        HeadstartError: the metric is not defined on these test images.
    """
    images = reduce(pd.Index.union, (result.predictions.index for result in results))
    cells: dict[Key, list[Result]] = {}
    for result in results:
        cells.setdefault(result.key, []).append(result)
    return Study(
        tuple(images),
        {key: _cell(runs, images, metric) for key, runs in cells.items()},
        _majority_floor(results),
        _majority(results, images, metric),
        metric=metric,
        quantum=metrics.quantum(metric, _labels(results, images)),
        overlap=_overlap(results),
    )


def studies(results: Sequence[Result], groups: pd.Series, metric: str) -> tuple[Study, Study]:
    """The study of all runs' accuracy, for the tables, and that which the verdict is about.

    Args:
        results: from `read`.
        groups: as in `grouped`.
        metric: of the verdict.
    """
    judged = study(with_seeds(results), metric)
    return grouped(study(results), groups), grouped(judged, groups)


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


def _cell(results: Sequence[Result], images: pd.Index, metric: str) -> Scores:
    ordered = sorted(results, key=lambda result: (result.split, result.seed))
    values = np.full((len(ordered), len(images)), np.nan)
    for seed in {result.seed for result in ordered}:
        rows = [row for row, result in enumerate(ordered) if result.seed == seed]
        whole = _scores([ordered[row] for row in rows], metric)
        for row, scores in zip(rows, whole, strict=True):
            values[row, images.get_indexer(ordered[row].predictions.index)] = scores
    runs = tuple((result.split, result.seed) for result in ordered)
    return Scores(runs, values, _deterministic(ordered))


def _scores(folds: Sequence[Result], metric: str) -> list[np.ndarray]:
    """The scores of one seed's runs, each float (n,), from all of them together."""
    answers = [_answers(result, metric) for result in folds]
    pooled = metrics.Answers(
        np.concatenate([one.labels for one in answers]),
        np.concatenate([one.predicted for one in answers]),
        np.concatenate([one.probabilities for one in answers]),
    )
    scores = metrics.SCORES[metric](pooled)
    if np.isnan(scores).any():
        raise HeadstartError(
            f"verdict.metric {metric} is not defined where a class has no test image; choose "
            "another, or enlarge dataset.split.test"
        )
    return np.split(scores, np.cumsum([len(one.labels) for one in answers])[:-1])


def _answers(result: Result, metric: str) -> metrics.Answers:
    classes = result.metrics["classes"]
    if metric in metrics.OF_PROBABILITIES:
        frame = pd.read_parquet(result.folder / "predictions.parquet").set_index("id")
        return evaluation.answers(frame.loc[result.predictions.index], classes)
    names = pd.Index(classes)
    labels, predicted = (names.get_indexer(result.predictions[c]) for c in ("label", "predicted"))
    return metrics.Answers(labels, predicted, np.empty((0, len(classes))))


def _deterministic(results: Sequence[Result]) -> bool:
    """Whether there are several seeds on every split, and all give the same probabilities there."""
    splits = {result.split for result in results}
    fingerprints = [[r.fingerprint for r in results if r.split == split] for split in splits]
    return all(len(found) > 1 and len(set(found)) == 1 for found in fingerprints)


def _majority(results: Sequence[Result], images: pd.Index, metric: str) -> Scores | None:
    """The answer "the most common class" on each split; None for a metric of probabilities."""
    if metric in metrics.OF_PROBABILITIES:
        return None
    firsts = {result.split: result for result in reversed(results)}
    floor = [
        replace(
            first,
            run=first.run | {"seed": 0},
            predictions=first.predictions.assign(predicted=first.metrics["majority_class"]),
        )
        for first in firsts.values()
    ]
    return replace(_cell(floor, images, metric), deterministic=True)


def _majority_floor(results: Sequence[Result]) -> float:
    """The highest floor of the runs at the largest fraction."""
    largest = max(result.key[1] for result in results)
    return max(r.metrics["majority_floor"] for r in results if r.key[1] == largest)


def _labels(results: Sequence[Result], images: pd.Index) -> np.ndarray:
    """Class indices of all test images, int (n,)."""
    codes = np.zeros(len(images), dtype=int)
    for result in results:
        rows = images.get_indexer(result.predictions.index)
        codes[rows] = _answers(result, "accuracy").labels
    return codes


def _overlap(results: Sequence[Result]) -> float:
    """Test images per training image at the largest fraction, the most of any run."""
    largest = max(result.key[1] for result in results)
    whole = [result for result in results if result.key[1] == largest]
    return max(len(result.predictions) / result.run["n_train"] for result in whole)


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; train and evaluate this run first") from None


def _result(folder: Path, record: Path) -> Result:
    run, scores = _json(record / "run.json"), _json(folder / "metrics.json")
    path = folder / "predictions.parquet"
    try:
        frame = pd.read_parquet(path).set_index("id").sort_index()
    except FileNotFoundError:
        raise HeadstartError(f"{path}: missing; evaluate this run first") from None
    probabilities = frame.drop(columns=["label", "predicted"]).to_numpy()
    fingerprint = hashlib.sha256(probabilities.tobytes()).hexdigest()
    return Result(folder, run, scores, frame[["label", "predicted"]], fingerprint)
