"""Images that show what the numbers mean: mistakes, disagreements, doubtful labels, copies."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headstart import HeadstartError
from headstart.report.figures.health import MOST_PAIRS, MOST_SUSPECTS
from headstart.report.listing import confusion
from headstart.report.pictures import Album
from headstart.report.study import Run, Study
from headstart.report.tables import records
from headstart.verdict import mistakes

MOST_APART = 6
MOST_RIVALS = 4
#: Pictures behind one cell of a confusion matrix; from so many classes on, cells become a list.
MOST_IN_CELL = 12
MOST_CLASSES = 16
MOST_CONFUSIONS = 24


def heat_maps(folder: Path) -> dict[str, np.ndarray]:
    """The maps of a run's evidence.npz by image id; none where the network has no such map.

    Raises:
        HeadstartError: the file cannot be read.
    """
    path = folder / "evidence.npz"
    if not path.exists():  # an ensemble has no model
        return {}
    try:
        with np.load(path) as stored:
            ids, maps = stored["ids"], stored["maps"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise HeadstartError(f"{path}: cannot be read ({error}); make it again") from error
    return dict(zip(map(str, ids), maps, strict=True)) if maps.size else {}


def worst(run: Run, album: Album) -> list[dict[str, Any]]:
    """The surest mistakes of a run, with what the model looked at where that is known."""
    maps, found = heat_maps(run.folder), []
    for row in records(mistakes.worst(run.predictions, mistakes.MOST_SHOWN)):
        seen = maps.get(row["id"])
        evidence = None if seen is None else album.looked_at(row["id"], seen)
        found.append({**row, **album.picture(row["id"]), "evidence": evidence})
    return found


def behind_cells(
    predictions: pd.DataFrame, album: Album, most: int
) -> dict[tuple[str, str], list[int]]:
    """Numbers of the pictures behind each (label, predicted), the surest answers first.

    Mistakes come before right answers, so that these are left out first where there are many.
    """
    answers = mistakes.confident(predictions)
    answers = answers.assign(right=answers.label == answers.predicted)
    answers = answers.sort_values(["right", "confidence"], ascending=[True, False], kind="stable")
    cells: dict[tuple[str, str], list[int]] = {}
    for row in records(answers):
        cell = cells.setdefault((row["label"], row["predicted"]), [])
        number = album.numbered(row["id"], most) if len(cell) < MOST_IN_CELL else None
        if number is not None:
            cell.append(number)
    return cells


def matrix(run: Run, album: Album, most: int) -> dict[str, Any]:
    """A run's confusion matrix, each cell with its share of the class and its pictures.

    With many classes, the most frequent confusions in its place.

    Args:
        most: pictures on demand that there may be then.
    """
    classes, counts = run.metrics["classes"], confusion([run])
    behind = behind_cells(run.predictions, album, most)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    rows = [
        (
            label,
            [
                {
                    "label": label,
                    "predicted": predicted,
                    "count": int(counts[i, k]),
                    "share": float(shares[i, k]),
                    "pictures": behind.get((label, predicted), []),
                }
                for k, predicted in enumerate(classes)
            ],
        )
        for i, label in enumerate(classes)
    ]
    if len(classes) <= MOST_CLASSES:
        return {"classes": classes, "rows": rows, "frequent": []}
    wrong = [cell for name, row in rows for cell in row if cell["predicted"] != name]
    frequent = sorted(wrong, key=lambda cell: -cell["count"])[:MOST_CONFUSIONS]
    return {"classes": classes, "rows": [], "frequent": [c for c in frequent if c["count"]]}


def disagreements(study: Study, album: Album) -> list[dict[str, Any]]:
    """Images that the leader gets right and a rival wrong, and the other way round."""
    answers = {name: [run.answers() for run in runs] for name, runs in study.compared.items()}
    right = {name: mistakes.shares_right(runs) for name, runs in answers.items()}
    leader = study.verdict["leader"]
    found = []
    for rival in [name for name in answers if name != leader][:MOST_RIVALS]:
        for winner, loser in ((leader, rival), (rival, leader)):
            apart = mistakes.only_right(right[winner], right[loser])
            said = pd.concat(answers[loser]).set_index("id")
            pictures = [
                _answered(name, said.loc[[name]], album) for name in apart.index[:MOST_APART]
            ]
            told = {"winner": winner, "loser": loser, "count": len(apart)}
            found.append({**told, "pictures": pictures})
    return found


def _answered(name: str, said: pd.DataFrame, album: Album) -> dict[str, Any]:
    """A picture, its label, and the commonest wrong answer to it."""
    label = said["label"].iloc[0]
    wrong = said["predicted"][said["predicted"] != label].mode().iloc[0]
    return {**album.picture(name), "label": label, "predicted": wrong}


def suspects(study: Study, album: Album) -> list[dict[str, Any]]:
    """The surest of the images whose label every probe contradicts."""
    return [
        {
            **album.picture(row["id"]),
            "label": row["label"],
            "predicted": row["believed"],
            "confidence": row["probability"],
        }
        for row in records(study.suspects.head(MOST_SUSPECTS))
    ]


def copies(study: Study, album: Album) -> list[list[dict[str, Any]]]:
    """Pairs of pictures that look alike, those under two labels first."""
    torn = study.copies[study.copies.label != study.copies.other_label]
    rows = pd.concat([torn, study.copies]).drop_duplicates(["id", "other"]).head(MOST_PAIRS)
    return [
        [
            {**album.picture(row["id"]), "label": row["label"]},
            {**album.picture(row["other"]), "label": row["other_label"]},
        ]
        for row in records(rows)
    ]
