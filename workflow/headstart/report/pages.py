"""One self-contained report.html: the verdict, what it rests on, and how it was made.

Charts, pictures, styles and the script stand inside; the page needs no network, and no script to
be read.
"""

import base64
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml
from PIL import Image

from headstart import HeadstartError, __version__
from headstart.experiment import tuning
from headstart.report import examples, graphs, headline, listing, tables
from headstart.report.charts import tones
from headstart.report.formats import count, duration, missing, number, percent, points
from headstart.report.pictures import MOST_ON_DEMAND, Album, as_webp
from headstart.report.study import Run, Study
from headstart.verdict import words

TEMPLATES = Path(__file__).parent / "page"
PNG_BUDGET = 100_000
WIDEST = 1600
MOST_NAMED = 20
SHARES = {"accuracy", "balanced_accuracy", "top_3", "top_5"}
METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE",
    "top_3": "top-3 accuracy",
    "top_5": "top-5 accuracy",
    "roc_auc": "ROC AUC",
}


def build(output: Path, study: Study, folder: Path) -> None:
    """Write the report of a study to `output`, and its tables to `folder`.

    Raises:
        HeadstartError: a file of a run or a figure cannot be read.
    """
    found = listing.tables(study)
    for table in found.values():
        tables.write(table, folder)
    template = _environment().get_template("report.html.j2")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(template.render(_content(study), tables=found), encoding="utf-8")


def _content(study: Study) -> dict[str, Any]:
    """What the template names."""
    experiment, verdict = study.experiment, study.verdict
    album = Album(study.cache, study.image["size"] / study.image["resize"])
    made_by = [run.made_by for run in study.runs]
    return {
        "title": experiment.get("report", {}).get("title") or experiment["experiment"],
        "experiment": experiment["experiment"],
        "backbone": experiment.get("backbone", {}).get("name", ""),
        "verdict": verdict,
        "answer": headline.answer(verdict),
        "incomplete": words.incomplete(dict(verdict)),
        "failures": words.failures(dict(verdict)),
        "advice": headline.advice(verdict, _compared(study)),
        "costs": headline.costs(verdict, _compared(study), study.summary_at(verdict["fraction"])),
        "tones": tones(study.summary["strategy"]),
        "seeds": sorted({run.place[1] for run in study.runs}),
        "devices": _distinct(list(study.runs_table["device"])),
        "n_runs": len(study.runs),
        "n_images": len(study.manifest),
        "n_groups": study.manifest["group"].replace("", None).nunique(),
        "left_out": _left_out(study),
        "notes": study.notes,
        "most_named": MOST_NAMED,
        **_charts(study),
        **_examples(study, album),
        "sanity_figures": [
            {"caption": caption, **embed(path)} for caption, path in study.sanity_figures.items()
        ],
        "abroad": [_abroad(study, entry) for entry in verdict["tests"]],
        "runs": [_run(run) for run in study.runs],
        "facts": _facts(experiment, made_by),
        "config": _yaml(experiment),
        "version": __version__,
        "album": album.on_demand(),
    }


def _compared(study: Study) -> Any:
    table = study.runs_table
    return table[(table["fraction"] - study.verdict["fraction"]).abs() < 1e-9]


def _charts(study: Study) -> dict[str, Any]:
    verdict, several = study.verdict, len(study.fractions) > 1
    floor = verdict["shortcut_floor"]
    return {
        "means": graphs.means(study),
        "differences": graphs.differences(study, verdict) if verdict["comparisons"] else "",
        "cost_bars": graphs.costs(study),
        "validation": graphs.validation(study),
        "learning_curve": graphs.learning_curve(study) if several else "",
        "at_fractions": graphs.at_fractions(study) if several else [],
        "tuning": [
            {
                **choice["place"],
                "edge": choice["edge"],
                "images": choice["images"],
                "few": choice["images"] < tuning.ENOUGH,
                "chart": graphs.tuning(choice),
            }
            for choice in study.choices
        ],
        "shortcuts": graphs.shortcuts(floor, verdict["majority_floor"]) if floor else "",
    }


def _examples(study: Study, album: Album) -> dict[str, Any]:
    shown = [
        {
            "strategy": name,
            "place": run.place,
            "derived": "derived" in run.made_by,
            "matrix": examples.matrix(run, album, MOST_ON_DEMAND * rank // len(study.shown)),
            "reliability": graphs.reliability(run.predictions, name),
            "ece": run.metrics["metrics"]["ece"]["value"],
            "worst": examples.worst(run, album),
        }
        for rank, (name, run) in enumerate(study.shown.items(), 1)
    ]
    return {
        "shown": shown,
        "disagreements": examples.disagreements(study, album),
        "suspects": examples.suspects(study, album),
        "n_suspects": len(study.suspects),
        "copies": examples.copies(study, album),
        "n_copies": len(study.copies),
    }


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is None or name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "duration": duration,
        "count": count,
        "number": number,
    }
    return environment


def _distinct(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if not missing(value) and value != ""))


def _left_out(study: Study) -> list[tuple[str, list[str]]]:
    """Ids of the files left out, by reason, the most frequent first."""
    broken = study.manifest[study.manifest["status"] != "ok"]
    groups = [(str(reason), list(ids)) for reason, ids in broken.groupby("status")["id"]]
    return sorted(groups, key=lambda group: -len(group[1]))


def _abroad(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A further test set: its entry in the verdict, its chart and its notes."""
    there = study.tests[entry["name"]]
    chart = graphs.differences(study, there) if there["comparisons"] else ""
    return {**entry, "chart": chart, "notes": study.test_notes.get(entry["name"], ())}


def embed(path: Path) -> dict[str, Any]:
    """A figure as a data address, with its width and height in pixels.

    Charts stay lossless PNG. What takes more than 100 kB that way holds photographs, and becomes
    WebP at quality 80, at most 1600 pixels wide.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened.convert("RGB")
    except OSError as error:
        raise HeadstartError(f"{path}: not a readable figure ({error}); make it again") from error
    data = path.read_bytes()
    if len(data) > PNG_BUDGET:
        if picture.width > WIDEST:
            picture.thumbnail((WIDEST, 16_000), Image.Resampling.LANCZOS)
        source = as_webp(picture, 80)
    else:
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"source": source, "width": picture.width, "height": picture.height}


def _run(run: Run) -> dict[str, Any]:
    return {
        "made_by": run.made_by,
        "metrics": [_metric(name, value) for name, value in run.metrics["metrics"].items()],
        "accuracy": run.metrics["metrics"]["accuracy"],
        "settings": _yaml(run.made_by.get("settings") or {}),
    }


def _metric(name: str, value: Mapping[str, float]) -> tuple[str, str, str]:
    write = percent if name in SHARES else number
    interval = (
        "" if missing(value.get("low")) else f"{write(value['low'])} to {write(value['high'])}"
    )
    return METRIC_NAMES.get(name, name), write(value["value"]), interval


def _yaml(value: Mapping[str, Any]) -> str:
    """YAML in the given order; what YAML has no word for (paths, numpy numbers) as text."""
    plain = json.loads(json.dumps(value, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=88)


def _facts(
    experiment: Mapping[str, Any], made_by: list[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """What made the runs; several values where runs differ."""

    def seen(key: str) -> str:
        return ", ".join(_distinct([run.get(key) for run in made_by]))

    versions = [f"{k} {v}" for run in made_by for k, v in (run.get("versions") or {}).items()]
    facts = [
        ("Backbone", str(experiment.get("backbone", {}).get("name", ""))),
        ("Weights", seen("weights")),
        ("Weights, SHA-256", seen("weights_sha256")),
        ("Split, SHA-256", seen("split_hash")),
        ("Configuration hash", seen("config_hash")),
        ("Device", seen("device")),
        ("Device UUID", seen("device_uuid")),
        ("Precision", seen("precision")),
        ("Threads", seen("threads")),
        ("Versions", ", ".join(_distinct(versions))),
        ("Git commit", seen("git_commit")),
    ]
    return [(name, value) for name, value in facts if value]
