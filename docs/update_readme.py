"""Put the verdict of the finished default experiment into README.md: table, statement, figure."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd

from headstart.verdict.terminal import verdict_table

ROOT = Path(__file__).parent.parent
COMPARISON = ROOT / "results/elpv/comparison"
RUN = ROOT / "results/elpv/runs/full/fraction-1.0/split-0/seed-0/run.json"


def verdict_block() -> str:
    """The text between the README's markers."""
    verdict = json.loads((COMPARISON / "verdict.json").read_text())
    table = verdict_table(verdict, pd.read_csv(COMPARISON / "summary.csv"))
    run = json.loads(RUN.read_text())
    made = f"{run['device']}, torch {run['versions']['torch']}, {verdict['n_test']} test images"
    return f"```\n{table}\n```\n\n> {verdict['statement']}\n\nMade on {made}.\n"


def main() -> None:
    readme = ROOT / "README.md"
    text = re.sub(
        r"(<!-- verdict -->\n).*?(<!-- /verdict -->)",
        lambda match: match[1] + verdict_block() + match[2],
        readme.read_text(),
        flags=re.DOTALL,
    )
    readme.write_text(text)
    shutil.copyfile(COMPARISON / "accuracy.png", ROOT / "docs/images/accuracy.png")


if __name__ == "__main__":
    main()
