"""The model card: what a model was made from, how good it is, and how to load it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from headstart import __version__, prediction
from headstart.data import manifest
from headstart.delivery import graph, licences
from headstart.delivery.choice import Chosen
from headstart.report import formats

_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
    "ece": "expected calibration error",
    "top_3": "top-3 accuracy",
    "top_5": "top-5 accuracy",
}
_SHARES = {"accuracy", "balanced_accuracy", "top_3", "top_5"}
_MOST_CLASSES = 50


@dataclass(frozen=True)
class Subject:
    """What a card is about.

    Attributes:
        run: the content of run.json.
        for_timm: whether timm loads the folder by itself.
    """

    experiment: Path
    chosen: Chosen
    run: dict[str, Any]
    classifier: prediction.Classifier
    for_timm: bool


def text(subject: Subject, difference: float, compared: int) -> str:
    """The card, in Markdown.

    Args:
        difference: the largest of a probability from torch's, on `compared` test images.
    """
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "plain": plain,
        "percent": formats.percent,
        "count": formats.count,
        "duration": formats.duration,
    }
    content = _content(subject) | {"difference": f"{difference:.1e}", "compared": compared}
    return environment.get_template("card.md.j2").render(content)


def plain(value: str) -> str:
    """Text that Markdown shows as it is: in a table, and without a tag or a link."""
    return re.sub(r"([\\`*_\[\]|<>~&])", r"\\\1", " ".join(str(value).split()))


def _content(subject: Subject) -> dict[str, Any]:
    run, classifier, folder = subject.run, subject.classifier, subject.experiment
    table = manifest.read(folder / "manifest.csv")
    usable = table[table["status"] == manifest.OK]
    split = pd.read_csv(folder / "split.csv", dtype=str, keep_default_na=False)
    verdict = _json(folder / "comparison/verdict.json")
    metrics = _json(subject.chosen.folder / "metrics.json")
    backbone, strategy = run["settings"]["backbone"], run["settings"]["strategy"]
    return {
        "experiment": folder.resolve().name,
        "chosen": subject.chosen,
        "run": run,
        "classifier": classifier,
        "for_timm": subject.for_timm,
        "voting": "bank" in dict(_head(classifier).named_buffers()),
        "backbone": backbone,
        "sized": hasattr(classifier.model, "image_size"),
        "init": strategy["init"],
        "counts": _counts(usable, split, f"split-{run['split']}", classifier.classes),
        "most_classes": _MOST_CLASSES,
        "n_images": len(usable),
        "left_out": len(table) - len(usable),
        "metrics": [_metric(*item) for item in metrics.get("metrics", {}).items()],
        "n_test": metrics.get("n_test"),
        "per_class": metrics.get("per_class", {}),
        "majority": metrics.get("majority_floor"),
        "shortcuts": verdict.get("shortcut_floor"),
        "verdict": verdict.get("statement", ""),
        "tests": _elsewhere(folder, subject.chosen.name),
        "data_licence": licences.of_images(str(usable["path"].iloc[0])),
        "weights_licence": licences.of_weights(backbone, strategy["init"]),
        "version": __version__,
        "opset": graph.OPSET,
    }


def _head(classifier: prediction.Classifier) -> Any:
    from headstart.models import layers

    return classifier.model.get_submodule(layers.head_name(classifier.model))


def _json(path: Path) -> dict[str, Any]:
    """The content of a file; empty where there is none, as before an evaluation."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _metric(name: str, found: dict[str, float]) -> tuple[str, str, str]:
    """A metric's name, value and interval in words."""
    write = formats.percent if name in _SHARES else formats.number
    low, high = found.get("low"), found.get("high")
    interval = "" if formats.missing(low) else f"{write(low)} to {write(high)}"
    return _NAMES.get(name, name), write(found["value"]), interval


def _elsewhere(folder: Path, run: str) -> dict[str, tuple[str, str, str]]:
    """The run's accuracy on each further test set, by the set's name."""
    found = {
        path.name: _json(path / "runs" / run / "metrics.json") for path in folder.glob("tests/*")
    }
    return {
        name: _metric("accuracy", metrics["metrics"]["accuracy"])
        for name, metrics in sorted(found.items())
        if metrics
    }


def _counts(
    usable: pd.DataFrame, split: pd.DataFrame, column: str, classes: list[str]
) -> dict[str, list[int]]:
    """Images of each class in train, val and test."""
    labelled = split.merge(usable[["id", "label"]], on="id")
    table = pd.crosstab(labelled["label"], labelled[column])
    table = table.reindex(index=classes, columns=["train", "val", "test"], fill_value=0)
    return {
        name: [int(n) for n in row] for name, row in zip(classes, table.to_numpy(), strict=True)
    }
