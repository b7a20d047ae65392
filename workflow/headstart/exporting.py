"""headstart export: a run's model as files that stand alone, and in MLflow's model registry."""

import argparse
import json
from pathlib import Path

from headstart.delivery import choice


def add(parser: argparse.ArgumentParser) -> None:
    """Give the parser the command's arguments."""
    option = parser.add_argument
    option("experiment", type=Path, metavar="RESULTS/EXPERIMENT", help="such as results/elpv")
    option(
        "--run",
        dest="wanted",
        metavar="S",
        help="strategy, or strategy/fraction-F/split-K/seed-S "
        "(default: the first seed of the verdict's recommendation, else of its leader)",
    )
    option("--output", type=Path, metavar="DIR", help="default: RESULTS/EXPERIMENT/export")
    option("--register", metavar="NAME", help="also a version of this model in MLflow's registry")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write a run's folder, and say which run it is and how near torch the ONNX model came."""
    chosen = choice.choose(options.experiment, options.wanted)
    print(f"run         {chosen.name} ({chosen.reason})", flush=True)

    from headstart.delivery import graph, package, registration

    output = options.output or options.experiment / "export"
    parity = package.write(options.experiment, chosen, output)
    print(
        f"parity      {parity.largest:.1e}, the largest difference of a probability from torch's "
        f"on {parity.images} test images"
    )
    files = ", ".join(sorted(path.name for path in output.iterdir()))
    print(f"wrote       {output}: {files} (opset {graph.OPSET})")
    if options.register:
        made = json.loads((chosen.folder / "run.json").read_text())
        folder = options.experiment.resolve().parent / "mlflow"
        print(f"registered  {registration.register(output, made, options.register, folder)}")
    return 0
