"""Put the results of finished experiments into docs/experiments.md: one row per strategy.

Rows of experiments that are not in the folder stay as they are.

Usage: python docs/update_experiments.py [RESULTS_FOLDER]
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from headstart.verdict.phrases import duration

PAGE = Path(__file__).parent / "experiments.md"
HEAD = [
    "| experiment | backbone | strategy | test images | seeds | accuracy | 95 % interval "
    "| macro F1 | training |",
    "|---|---|---|---|---|---|---|---|---|",
]


def rows(experiment: Path) -> list[str]:
    """One line per strategy of a finished experiment."""
    lines = []
    for row in pd.read_csv(experiment / "comparison/summary.csv").itertuples():
        runs = f"runs/{row.strategy}/fraction-{row.fraction}/split-*/seed-*/run.json"
        run = next(experiment.glob(runs))
        backbone = json.loads(run.read_text())["settings"]["backbone"]
        share = "" if row.fraction == 1 else f" on {row.fraction:.0%} of train"
        cells = [
            experiment.name,
            f"{backbone['name']}, {backbone['image']['size']} px",
            f"`{row.strategy}`{share}",
            f"{row.n_test:,}",
            str(row.seeds),
            f"{row.accuracy:.3f}",
            f"{row.accuracy_low:.3f} to {row.accuracy_high:.3f}",
            f"{row.macro_f1:.3f}",
            duration(row.device_seconds),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main(results: Path) -> None:
    finished = sorted(path.parents[1] for path in results.glob("*/comparison/summary.csv"))
    page = PAGE.read_text()
    block = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)
    old = [line for line in block.search(page)[0].splitlines() if line not in HEAD]
    table: dict[str, list[str]] = {}
    for line in old:
        table.setdefault(line.split("|")[1].strip(), []).append(line)
    table |= {experiment.name: rows(experiment) for experiment in finished}
    lines = [*HEAD, *(line for name in sorted(table) for line in table[name])]
    PAGE.write_text(block.sub(lambda match: "\n".join(lines) + "\n", page))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
