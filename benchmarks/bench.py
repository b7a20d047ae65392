"""headstart beside the tutorial's way and the machine's ceiling: a table of ratios and their bars.

A full run on the CPU writes benchmarks/RESULTS.md, a run with --gpu benchmarks/RESULTS-gpu.md.
The exit status is 1 when a bar is missed.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import coverage
import delivery
import finetuning
import gpu
import last_stage
import parity
import pipeline
import probe_study
import scaling
import small_job
import torch
from table import Row, report

from headstart import HeadstartError
from headstart.compute import devices

FOLDER = Path(__file__).parent
SUBJECTS = {
    "probe_study": probe_study.rows,
    "finetuning": finetuning.rows,
    "parity": parity.rows,
    "last_stage": last_stage.rows,
    "delivery": delivery.rows,
    "small_job": small_job.rows,
    "pipeline": pipeline.rows,
    "scaling": scaling.rows,
    "coverage": coverage.rows,
}


def cpu_table(names: Sequence[str], quick: bool) -> tuple[list[Row], str]:
    """The rows of the named subjects and their report."""
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            measured = SUBJECTS[name](Path(folder), quick)
        print(*(row.line() for row in measured), sep="\n", file=sys.stderr, flush=True)
        rows += measured
    device = devices.open_device("auto", torch.get_num_threads())
    return rows, report(rows, str(device), "2 or 3" if quick else "5")


def gpu_table() -> tuple[list[Row], str]:
    device = gpu.open_gpu()
    with tempfile.TemporaryDirectory() as folder:
        rows = gpu.rows(Path(folder), device)
    return rows, report(rows, str(device), str(gpu.REPEATS))


def exit_status(rows: Sequence[Row]) -> int:
    """0 when every bar is met, else 1."""
    return 0 if all(row.met for row in rows) else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="8 minutes on two cores: less of everything"
    )
    parser.add_argument(
        "--only", choices=SUBJECTS, action="append", help="measure this; may be repeated"
    )
    parser.add_argument("--gpu", action="store_true", help="measure a GPU instead")
    arguments = parser.parse_args()
    logging.getLogger("headstart").setLevel(logging.WARNING)
    try:
        if arguments.gpu:
            rows, text = gpu_table()
        else:
            rows, text = cpu_table(arguments.only or list(SUBJECTS), arguments.quick)
    except HeadstartError as error:
        sys.exit(f"error: {error}")
    print(text)
    if arguments.gpu:
        (FOLDER / "RESULTS-gpu.md").write_text(text)
    elif not arguments.quick and not arguments.only:
        (FOLDER / "RESULTS.md").write_text(text)
    return exit_status(rows)


if __name__ == "__main__":
    sys.exit(main())
