"""A commented experiment file for images as they lie there: what `headstart init` writes."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import jinja2
import pandas as pd
import yaml

from headstart import HeadstartError
from headstart.compute import leases
from headstart.data import decoding, folders, groups, guesses, names, roots, sources
from headstart.data.surveys import Survey
from headstart.experiment.config import Dataset, Table

_OPENED = 200  # images whose headers are read
_BATCH = 32
_UNEVEN = 3  # times as many images in the largest class as in the smallest
_SHOWN = 20
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        settings: `dataset` of the experiment file.
        side: median of the shorter sides of the opened images, pixels; `modes` their modes and
            `endings` all files' endings, the most frequent first.
    """

    settings: dict[str, object]
    survey: Survey
    side: int
    modes: list[str]
    endings: list[str]


def write(source: str, output: Path | None, downloads: Path) -> tuple[Path, Look]:
    """Look at a folder, a table or an archive, and write an experiment file for it.

    Args:
        output: the file; by default the source's name with .yaml, in the working directory.
        downloads: where archives are unpacked, as in a run.

    Raises:
        HeadstartError: there is nothing to read, or the file exists already.
    """
    name = _name(source)
    path = output or Path(f"{name}.yaml")
    if os.path.exists(path):
        raise HeadstartError(
            f"{path} exists already; give another name with --output, or remove it"
        )
    look = examine(source, downloads)
    try:
        path.write_text(text(name, look), encoding="utf-8")
    except OSError as error:
        raise HeadstartError(
            f"{path} cannot be written ({error.strerror}); give another name with --output"
        ) from None
    return path, look


def examine(source: str, downloads: Path) -> Look:
    """Find the settings that read a source."""
    path = Path(os.path.expanduser(source))
    if os.path.isdir(path):
        return _folder(path)
    if source.lower().endswith(_ARCHIVES) or "://" in source:
        return _archive(source, downloads)
    if guesses.is_table(path):
        return _table(path.parent, {"source": "csv", "path": str(path.parent)}, path.name)
    what = "is no folder, table or archive" if os.path.exists(path) else "does not exist"
    raise HeadstartError(
        f"{source} {what}; give a folder of images, a table of labels or an archive"
    )


def _folder(path: Path) -> Look:
    settings: dict[str, object] = {"source": "folder", "path": str(path)}
    try:
        return _listed(Dataset(source="folder", path=str(path)), settings, sources.survey)
    except HeadstartError:
        if guesses.tables(path):
            return _table(path, {"source": "csv", "path": str(path)})
        raise


def _archive(address: str, downloads: Path) -> Look:
    settings: dict[str, object] = {"source": "archive", "address": address}
    dataset = Dataset(source="archive", address=address)
    try:
        return _listed(dataset, settings, partial(sources.fetch, folder=downloads))
    except HeadstartError as error:
        top = roots.unpacked(replace(dataset, folder="."), downloads)
        for folder in [top, *(entry for entry in sorted(top.iterdir()) if entry.is_dir())]:
            if guesses.tables(folder):
                inner = folder.relative_to(top).as_posix()
                return _table(folder, settings | ({"folder": inner} if inner != "." else {}))
        raise error from None


def _table(root: Path, settings: dict[str, object], only: str | None = None) -> Look:
    tree = folders.Tree(root)
    images = [entry.path for entry in tree.files(root) if names.is_image(entry.name)]
    relative = [Path(image).relative_to(root).as_posix() for image in images]
    found = guesses.guess(root, relative, only)
    if found is None:
        tables = names.some([only] if only else [path.name for path in guesses.tables(root)])
        raise HeadstartError(
            f"{root}: no column of {tables} leads to the images there; write dataset.table by "
            "hand, see config/README.md"
        )
    written = {key: value for key, value in vars(found).items() if key not in ("matched", "rows")}
    written = {key: value for key, value in written.items() if value is not None}
    table = Table(**{"columns": None, "threshold": None} | written)
    local = Dataset(source="csv", path=str(root), table=table)
    return _listed(local, settings | {"table": written}, sources.survey)


def _listed(
    dataset: Dataset, settings: dict[str, object], survey_of: Callable[[Dataset], Survey]
) -> Look:
    survey = survey_of(dataset)
    if masks := _masked(list(survey.table["id"])):
        settings = settings | {"exclude": masks}
        survey = survey_of(replace(dataset, exclude=tuple(masks)))
    facts = [_header(path) for path in _some(survey.table["path"])]
    known = [fact for fact in facts if fact]
    side = int(median(fact[0] for fact in known)) if known else 0
    endings = [each for each, _ in Counter(map(names.ending, survey.table["id"])).most_common()]
    modes = [mode for mode, _ in Counter(fact[1] for fact in known).most_common()]
    return Look(settings, survey, side, modes, endings)


def _masked(ids: list[str]) -> list[str]:
    """Patterns of what look like masks: `*_mask.png` beside `*.png`, or PNG beside JPEG."""
    stems = {names.stem(image): image for image in ids}
    tails = Counter(
        names.stem(image)[len(bare) :] + names.ending(image)
        for image in ids
        if (bare := names.unmasked(image)) in stems and bare != names.stem(image)
    )
    if tails:
        return [f"*{tail}" for tail, _ in tails.most_common(3)]
    twins = Counter(names.stem(image) for image in ids)
    png = [image for image in ids if twins[names.stem(image)] > 1 and names.ending(image) == ".png"]
    return ["*.png"] if len(png) > 0.4 * len(ids) else []


def _some(paths: pd.Series) -> list[str]:
    step = max(1, len(paths) // _OPENED)
    return list(paths.iloc[::step])


def _header(path: str) -> tuple[int, str] | None:
    try:
        with decoding.opened(path) as image:
            return min(image.size), image.mode
    except Exception:  # on broken data Pillow's plugins raise almost any type
        return None


def _name(source: str) -> str:
    stem = re.sub(r"(\.tar)?\.\w+$", "", Path(os.path.expanduser(source)).resolve().name) or "mine"
    return re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_") or "mine"


def text(name: str, look: Look) -> str:
    """The experiment file."""
    table = look.survey.table
    counts = table["label"].value_counts().sort_index()
    parts = table["split"].value_counts()
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tojson_text"] = partial(json.dumps, ensure_ascii=False)
    gpu = bool(leases.visible())
    return environment.get_template("proposal.yaml.j2").render(
        name=name,
        table=table,
        counts=list(counts.items()),
        shown=_SHOWN,
        parts=[(part, count) for part, count in parts.items() if part],
        side=look.side,
        modes=look.modes,
        endings=look.endings,
        notes=look.survey.notes,
        dataset=_yaml({"dataset": look.settings}),
        group=groups.suggested(table),
        gpu=gpu,
        size=min(224 if gpu else 160, max(96, 32 * round(look.side / 32))),
        uneven=counts.max() >= _UNEVEN * counts.min(),
    )


def _yaml(settings: dict[str, object]) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).rstrip()
