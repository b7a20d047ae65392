"""Write the self-contained HTML report."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from headstart import logs, tracking
from headstart.data import manifest
from headstart.report import pages


def main(
    experiment: dict[str, Any],
    run_dirs: list[Path],
    comparison: Path,
    comparison_figures: list[Path],
    sanity_figures: list[Path],
    manifest_path: Path,
    split: Path,
    notes: Path,
    tracking_path: Path,
    output: Path,
) -> None:
    pages.build(
        output,
        experiment=experiment,
        verdict=json.loads((comparison / "verdict.json").read_text()),
        summary=pd.read_csv(comparison / "summary.csv"),
        runs=pd.read_csv(comparison / "runs.csv"),
        run_dirs=run_dirs,
        manifest=manifest.read(manifest_path),
        split=pd.read_csv(split, dtype=str, keep_default_na=False),
        notes=notes.read_text().splitlines(),
        comparison_figures={caption(path): path for path in comparison_figures},
        sanity_figures={caption(path): path for path in sanity_figures},
    )
    store = tracking.read(tracking_path)
    tracking.RunLog.open(store, store["parent_run_id"]).files([output])


def caption(path: Path) -> str:
    """A figure's name in words: gallery_rand_augment.png -> Gallery rand augment."""
    return path.stem.replace("_", " ").capitalize()


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            snakemake.params.experiment,
            [Path(run).parent for run in snakemake.input.run_records],
            Path(snakemake.input.verdict).parent,
            [Path(figure) for figure in snakemake.input.comparison],
            [Path(figure) for figure in snakemake.input.sanity],
            Path(snakemake.input.manifest),
            Path(snakemake.input.split),
            Path(snakemake.input.notes),
            Path(snakemake.input.tracking),
            Path(snakemake.output.report),
        )
