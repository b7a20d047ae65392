"""The headstart command: check an experiment before it runs, look at it afterwards."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from headstart import HeadstartError, __version__, config, devices, preflight

_STORE = Path("results/mlflow/mlflow.db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; a user's mistake is one line on stderr and status 1."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except HeadstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headstart",
        description="Head only, fine-tune everything, or from scratch? Ask your images.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    checking = commands.add_parser("check", help="validate an experiment; list its grid and jobs")
    checking.add_argument("config", type=Path, help="experiment file, such as config/config.yaml")
    checking.set_defaults(run=check)

    viewing = commands.add_parser("ui", help="MLflow UI on the local store, loopback only")
    viewing.add_argument("--port", type=int, default=5000, help="port (default: 5000)")
    viewing.set_defaults(run=ui)
    return parser


def check(options: argparse.Namespace) -> int:
    """Validate config, data and weights; print the grid, the devices and what would run."""
    experiment = config.load(options.config)
    listing = preflight.check(experiment, str(options.config))
    classes = listing.label.value_counts()
    gpus = devices.visible()
    print(f"experiment  {experiment.experiment}")
    print(
        f"images      {len(listing):,} files in {len(classes)} classes, "
        f"{classes.min():,} to {classes.max():,} a class"
    )
    backbone = experiment.backbone
    print(f"backbone    {backbone.name} of {backbone.library}, weights {backbone.weights}")
    print(f"devices     {len(gpus)} GPUs" if gpus else "devices     no GPU: the CPU")
    print(_grid(experiment))
    print("what would run:", flush=True)
    return _dry_run(options.config)


def _grid(experiment: config.Experiment) -> str:
    cells = len(experiment.fractions) * len(experiment.seeds)
    lines = [
        f"grid        {len(experiment.strategies) * cells} runs: {len(experiment.strategies)} "
        f"strategies × fractions {list(experiment.fractions)} × seeds {list(experiment.seeds)}"
    ]
    for name, strategy in experiment.strategies.items():
        phases = ", then ".join(f"{p.train} for {p.epochs} epochs" for p in strategy.phases)
        source = "cached features" if strategy.from_features else "images"
        lines.append(f"  {name}: {strategy.init} backbone; train {phases}; on {source}")
    return "\n".join(lines)


def _dry_run(path: Path) -> int:
    """Snakemake's own account of the jobs to run and the reasons."""
    command = ["snakemake", "--dry-run", "--cores", "1", "--configfile", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    if done.returncode:
        print(output, file=sys.stderr)
    elif "Job stats:" in output:
        print(output[output.rindex("Job stats:") :].strip())
    else:
        print("nothing: all results are up to date")
    return done.returncode


def ui(options: argparse.Namespace) -> int:
    """Serve the MLflow UI of the local store until interrupted."""
    if not _STORE.exists():
        raise HeadstartError(f"{_STORE} does not exist; run an experiment first: make run")
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    print(f"MLflow UI: http://127.0.0.1:{options.port}  (Ctrl-C ends it)", flush=True)
    server = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{_STORE}"]
    command = [sys.executable, "-m", *server, "--host", "127.0.0.1", "--port", str(options.port)]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
