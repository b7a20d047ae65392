"""One self-contained report.html: the verdict, what it rests on, and how it was made.

Figures are inlined, styles too; the page needs no script and no network.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from PIL import Image

from headstart import HeadstartError, __version__
from headstart.report.formats import (
    count,
    duration,
    missing,
    number,
    p_value,
    percent,
    points,
    size,
)

FIGURE_TITLES = {
    "curves": "Training curves",
    "confusion": "Confusion matrix",
    "reliability": "Reliability",
    "mistakes": "Most confident mistakes",
    "worst_mistakes": "Most confident mistakes",
}
MOST_ILLUSTRATED = 24
PNG_BUDGET = 100_000
WIDEST = 1600
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
SHARES = {"accuracy", "balanced_accuracy", "top_3", "top_5"}
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Study:
    """What a report shows.

    Attributes:
        experiment: the plain configuration.
        verdict: the content of verdict.json; `summary` and `runs`: the tables of comparison/.
        run_dirs: each holds run.json, metrics.json and figures/*.png.
        manifest: and `split`, the contents of manifest.csv and split.csv, with their notes.
        comparison_figures: and `sanity_figures`, `health_figures`, by caption.
        choices: the content of every choice.json of a tuning.
        tests: the verdict of each further test set, by name, and in `test_notes` its notes.
    """

    experiment: Mapping[str, Any]
    verdict: Mapping[str, Any]
    summary: pd.DataFrame
    runs: pd.DataFrame
    run_dirs: list[Path]
    manifest: pd.DataFrame
    split: pd.DataFrame
    notes: list[str]
    comparison_figures: Mapping[str, Path]
    sanity_figures: Mapping[str, Path]
    health_figures: Mapping[str, Path] = field(default_factory=dict)
    choices: Sequence[Mapping[str, Any]] = ()
    tests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test_notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def build(output: Path, study: Study) -> None:
    """Write the report of a study to `output`.

    Raises:
        HeadstartError: a file of a run or a figure cannot be read.
    """
    template = _environment().get_template("template.html.j2")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(template.render(_content(study)), encoding="utf-8")


def _content(study: Study) -> dict[str, Any]:
    """What the template names."""
    experiment, summary = study.experiment, study.summary
    details = [_run(folder, i < MOST_ILLUSTRATED) for i, folder in enumerate(study.run_dirs)]
    whole = (summary["fraction"] - study.verdict["fraction"]).abs() < 1e-9
    return {
        "title": experiment.get("report", {}).get("title") or experiment["experiment"],
        "experiment": experiment["experiment"],
        "verdict": study.verdict,
        "rows": _ranked(summary[whole]),
        "other_rows": _ranked(summary[~whole]),
        "devices": _distinct(list(study.runs.get("device", pd.Series(dtype=object)))),
        "n_runs": len(study.runs),
        "backbone": experiment.get("backbone", {}).get("name", ""),
        "counts": _counts(study.manifest, study.split),
        "left_out": _left_out(study.manifest),
        "n_images": len(study.manifest),
        "notes": study.notes,
        "comparison_figures": _figures(study.comparison_figures),
        "sanity_figures": _figures(study.sanity_figures),
        "health_figures": _figures(study.health_figures),
        "tuning": [_choice(choice) for choice in study.choices],
        "tests": [_test(study, entry) for entry in study.verdict["tests"]],
        "runs": details,
        "most_illustrated": MOST_ILLUSTRATED,
        "facts": _facts(experiment, [run["made_by"] for run in details]),
        "config": _yaml(experiment),
        "version": __version__,
    }


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "duration": duration,
        "size": size,
        "count": count,
        "number": number,
        "p_value": p_value,
    }
    return environment


def _ranked(summary: pd.DataFrame) -> list[dict[str, Any]]:
    order = summary.sort_values(["fraction", "accuracy"], ascending=[False, False], kind="stable")
    return [{str(key): value for key, value in row.items()} for row in order.to_dict("records")]


def _distinct(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if not missing(value) and value != ""))


def _counts(manifest: pd.DataFrame, split: pd.DataFrame) -> dict[str, Any]:
    """Images by class (rows) and part (columns) of the first split, with totals."""
    first, *others = [name for name in map(str, split) if name.startswith("split-")]
    labelled = split.merge(manifest[["id", "label"]], on="id", how="left")
    table = pd.crosstab(labelled["label"].astype(str), labelled[first])
    table = table.reindex(columns=list(SPLITS), fill_value=0).sort_index()
    return {
        "splits": SPLITS,
        "other_splits": len(others),
        "classes": [(name, list(row), sum(row)) for name, *row in table.itertuples()],
        "totals": [int(total) for total in table.sum()],
        "all": int(table.to_numpy().sum()),
    }


def _left_out(manifest: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Ids of the files left out, by reason, the most frequent first."""
    broken = manifest[manifest["status"] != "ok"]
    groups = [(str(reason), list(ids)) for reason, ids in broken.groupby("status")["id"]]
    return sorted(groups, key=lambda group: -len(group[1]))


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    """A tuning with what each trial tried in words: lr 0.0003, norm frozen."""
    trials = [
        {**trial, "tried": ", ".join(f"{name} {value}" for name, value in trial["tried"].items())}
        for trial in choice["trials"]
    ]
    place = choice["place"]
    fraction = float(place["fraction"])
    return {**choice, **place, "fraction": fraction, "trials": trials}


def _test(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A further test set: its entry in the verdict, and its strategies and pairs beside home's."""
    verdict = study.tests[entry["name"]]
    home = {each["strategy"]: each for each in study.verdict["strategies"]}
    rows = [{**each, "home": home[each["strategy"]]} for each in verdict["strategies"]]
    notes = study.test_notes.get(entry["name"], ())
    return {**entry, "rows": rows, "comparisons": verdict["comparisons"], "notes": notes}


def _figures(figures: Mapping[str, Path]) -> list[dict[str, Any]]:
    return [{"caption": caption, **embed(path)} for caption, path in figures.items()]


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
    kind, data = "png", path.read_bytes()
    if len(data) > PNG_BUDGET:
        if picture.width > WIDEST:
            picture.thumbnail((WIDEST, 16_000), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=80, method=4)
        kind, data = "webp", buffer.getvalue()
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return {"source": source, "width": picture.width, "height": picture.height}


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise HeadstartError(f"{path}: cannot be read ({error}); make this run again") from error


def _run(folder: Path, illustrated: bool) -> dict[str, Any]:
    made_by, scores = _read(folder / "run.json"), _read(folder / "metrics.json")
    found = {path.stem: path for path in sorted((folder / "figures").glob("*.png"))}
    order = [name for name in FIGURE_TITLES if name in found]
    order += [name for name in found if name not in FIGURE_TITLES]
    titles = {FIGURE_TITLES.get(name, name.replace("_", " ")): found[name] for name in order}
    return {
        "made_by": made_by,
        "metrics": [_metric(name, value) for name, value in scores["metrics"].items()],
        "accuracy": scores["metrics"]["accuracy"],
        "settings": _yaml(made_by.get("settings") or {}),
        "figures": _figures(titles) if illustrated else [],
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


def _facts(experiment: Mapping[str, Any], made_by: list[dict[str, Any]]) -> list[tuple[str, str]]:
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
