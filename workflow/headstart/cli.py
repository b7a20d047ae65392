"""The headstart command: check an experiment before it runs, look at it afterwards."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import HeadstartError, __version__, exporting, predicting, preflight, results
from headstart import ui as viewing
from headstart.compute import leases
from headstart.experiment import config, loading
from headstart.tracking import checks, connection, store

if TYPE_CHECKING:
    from headstart.data.surveys import Survey


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

    starting = commands.add_parser("init", help="look at images and write an experiment file")
    starting.add_argument("source", help="folder of images, table of labels, or archive")
    starting.add_argument("--output", type=Path, metavar="FILE", help="default: SOURCE.yaml")
    starting.set_defaults(run=init)

    checking = commands.add_parser("check", help="validate an experiment; list its grid and jobs")
    checking.add_argument("file", type=Path, help="experiment file, such as config/config.yaml")
    checking.add_argument(
        "--config",
        dest="overrides",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="as snakemake's",
    )
    checking.set_defaults(run=check)

    predicting.add(commands.add_parser("predict", help="classify images with a trained model"))
    exporting.add(commands.add_parser("export", help="a run's model as ONNX, for timm, and a card"))

    showing = commands.add_parser("ui", help="MLflow UI on the local store, loopback only")
    showing.add_argument("--port", type=int, default=5000, help="port (default: 5000)")
    showing.add_argument("--experiment", metavar="E", help="to open (default: the latest finished)")
    showing.set_defaults(run=ui)

    indexing = commands.add_parser("index", help="make the MLflow index again from results/")
    indexing.add_argument("--store", default="", metavar="URI", help="of another MLflow store")
    indexing.add_argument("--experiment", default="*", metavar="E", help="that alone")
    indexing.set_defaults(run=index)
    return parser


def init(options: argparse.Namespace) -> int:
    """Write an experiment file for images as they lie there, and say how to go on."""
    from headstart import proposal

    path, look = proposal.write(options.source, options.output, Path("results/downloads"))
    table = look.survey.table
    print(f"wrote {path}: {len(table):,} images in {table.label.nunique()} classes")
    for note in look.survey.notes:
        print(f"  {note}")
    print("read it, change what does not fit, and go on with")
    print(f"  headstart check {path}")
    print(f"  snakemake --cores 4 --resources gpu=2 --configfile {path}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Validate config, data and weights; print the grid, the devices and what would run."""
    raw, origin = loading.read(options.file, options.overrides)
    experiment = loading.from_dict(raw, origin)
    survey = preflight.check(experiment, origin)
    checks.require_usable(connection.uri(results.ROOT / "mlflow"))
    gpus = leases.visible()
    print(f"experiment  {experiment.experiment}")
    print(_images(experiment.dataset, survey))
    backbone = experiment.backbone
    print(f"backbone    {backbone.name} of {backbone.library}, weights {backbone.weights}")
    print(f"devices     {len(gpus)} GPUs" if gpus else "devices     no GPU: the CPU")
    print(f"tracking    {_tracking()}")
    print(_grid(experiment))
    print("what would run:", flush=True)
    return _dry_run(options.file, options.overrides)


def _images(dataset: config.Dataset, survey: "Survey | None") -> str:
    if survey is None:
        return f"images      to be fetched from {dataset.address or f'torchvision, {dataset.name}'}"
    return "\n".join(f"{heading:<12}{text}" for heading, text in survey.lines())


def _tracking() -> str:
    """The MLflow store, or what its server has to say."""
    address = connection.uri(results.ROOT / "mlflow")
    try:
        store.require_answer(address)
    except store.Silent as error:
        return str(error)
    return store.shown(address)


def _grid(experiment: config.Experiment) -> str:
    cells = len(experiment.fractions) * len(experiment.seeds)
    lines = [
        f"grid        {len(experiment.strategies) * cells} runs: {len(experiment.strategies)} "
        f"strategies × fractions {list(experiment.fractions)} × seeds {list(experiment.seeds)}"
    ]
    for name, strategy in experiment.strategies.items():
        phases = ", then ".join(_phase(phase) for phase in strategy.phases)
        source = "cached features" if strategy.features else "images"
        lines.append(f"  {name}: {strategy.init} backbone; train {phases}; on {source}")
    lines += [f"  {name}: {each.kind} of {each.of}" for name, each in experiment.derived.items()]
    lines += [f"  each tested on {name} too: {t.path}" for name, t in experiment.tests.items()]
    if experiment.tuning.trials:
        lines.append(
            f"  and before, {experiment.tuning.trials} trials of every strategy on validation"
        )
    return "\n".join(lines)


def _phase(phase: config.Phase) -> str:
    if phase.train == "probe":
        return f"a probe ({phase.classifier})"
    least = f", at least {phase.steps} steps" if phase.steps else ""
    return f"{phase.train} for {phase.epochs} epoch{'s' if phase.epochs > 1 else ''}{least}"


def _dry_run(path: Path, overrides: Sequence[str]) -> int:
    """Snakemake's own account of the jobs to run and the reasons."""
    command = ["snakemake", "--dry-run", "--cores", "1", "--configfile", str(path)]
    command += ["--config", *overrides] if overrides else []
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
    """Serve the MLflow UI of the store until interrupted, and open it on an experiment."""
    return viewing.serve(options.port, options.experiment)


def index(options: argparse.Namespace) -> int:
    """Make the MLflow index again from the results, and say what was missing."""
    from headstart import index as indexing

    for name, runs, new in indexing.make(results.ROOT, options.store, options.experiment):
        print(f"{name:<12}{runs} runs, {new} of them logged now", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
