"""Write the self-contained HTML report, and its tables as files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import logs, paths
from headstart.data import manifest
from headstart.data.cache import ImageCache
from headstart.report import pages
from headstart.report.study import Study
from headstart.tracking import connection, entries, outages


@dataclass(frozen=True)
class Files:
    run_records: tuple[Path, ...]
    runs: Path
    summary: Path
    verdict: Path
    sanity: tuple[Path, ...]
    suspects: Path
    copies: Path
    manifest: Path
    split: Path
    notes: Path
    images: Path
    index: Path
    backbone: Path
    tracking: Path
    report: Path
    tables: Path
    choices: tuple[Path, ...] = ()
    tests: tuple[Path, ...] = ()
    test_notes: tuple[Path, ...] = ()


def main(files: Files, experiment: dict[str, Any]) -> None:
    study = Study(
        experiment=experiment,
        verdict=json.loads(files.verdict.read_text()),
        summary=pd.read_csv(files.summary, converters={"derived": str}),
        runs_table=pd.read_csv(files.runs),
        run_dirs=[record.parent for record in files.run_records],
        manifest=manifest.read(files.manifest),
        split=pd.read_csv(files.split, dtype=str, keep_default_na=False),
        notes=files.notes.read_text().splitlines(),
        cache=ImageCache.open(files.images, files.index),
        image=json.loads(files.backbone.read_text())["image"],
        suspects=listed(files.suspects),
        copies=listed(files.copies),
        sanity_figures={caption(path): path for path in files.sanity},
        choices=[json.loads(path.read_text()) for path in files.choices],
        tests={path.parent.name: json.loads(path.read_text()) for path in files.tests},
        test_notes={path.parent.name: path.read_text().splitlines() for path in files.test_notes},
    )
    pages.build(files.report, study, files.tables)
    with outages.spared(files.tracking):
        entries.reported(connection.reach(files.tracking), files.report)


def listed(path: Path) -> pd.DataFrame:
    """A table of health/, its names as they are written."""
    names = dict.fromkeys(("id", "other", "label", "other_label", "believed"), str)
    return pd.read_csv(path, dtype=names, keep_default_na=False)


def caption(path: Path) -> str:
    """A figure's name in words: gallery_rand_augment.png -> Gallery rand augment."""
    return path.stem.replace("_", " ").capitalize()


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), snakemake.params.experiment)
