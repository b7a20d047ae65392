"""Compare the strategies: tables, verdict and figures."""

import json
import logging
from pathlib import Path

import pandas as pd

from headstart import logs, tracking
from headstart.report.figures import comparison as figures
from headstart.verdict import comparison, inference, reading, tables

logger = logging.getLogger("headstart.compare")


def main(run_dirs: list[Path], tracking_path: Path, folder: Path) -> None:
    results = reading.read(run_dirs)
    resampled = inference.resample(reading.study(results))
    runs = tables.runs_table(results)
    summary = tables.summary_table(runs, resampled)
    verdict = comparison.compare(runs, resampled)
    runs.to_csv(folder / "runs.csv", index=False)
    summary.to_csv(folder / "summary.csv", index=False)
    (folder / "verdict.json").write_text(json.dumps(verdict, indent=2) + "\n")
    histories = {
        (*result.key, result.seed): pd.read_csv(result.folder / "history.csv") for result in results
    }
    figures.accuracy(runs, summary, verdict, folder / "accuracy.png")
    figures.curves(histories, folder / "training_curves.png")
    figures.cost(runs, summary, folder / "cost.png")
    figures.differences(verdict, folder / "differences.png")
    if summary.fraction.nunique() > 1:
        figures.learning_curve(summary, folder / "learning_curve.png")
    store = tracking.read(tracking_path)
    log = tracking.RunLog.open(store, store["parent_run_id"])
    log.describe(verdict["statement"])
    log.files(sorted(folder.iterdir()), "comparison")
    log.end()
    logger.info(verdict["statement"])


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(
            [Path(run).parent for run in snakemake.input.runs],
            Path(snakemake.input.tracking),
            Path(snakemake.output.verdict).parent,
        )
