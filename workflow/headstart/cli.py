"""The headstart command: check an experiment before it runs, look at it afterwards."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError, __version__, one_line, preflight, results, store
from headstart.compute import leases
from headstart.experiment import config, loading

if TYPE_CHECKING:
    from headstart import prediction
    from headstart.data.surveys import Survey

_STORE = Path("results/mlflow/mlflow.db")
_Likely = Sequence[tuple[str, float]]


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

    _add_predict(commands.add_parser("predict", help="classify images with a trained model"))

    viewing = commands.add_parser("ui", help="MLflow UI on the local store, loopback only")
    viewing.add_argument("--port", type=int, default=5000, help="port (default: 5000)")
    viewing.set_defaults(run=ui)
    return parser


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="image file, or folder of images")
    add("--experiment", metavar="E", help="name under results/ (default: the latest finished)")
    add("--strategy", metavar="S", help="default: the verdict's leader")
    add("--fraction", type=float, metavar="F", help="default: the largest")
    add("--seed", type=int, metavar="K", help="default: the best on the validation images")
    add("--split", type=int, metavar="K", help="of several splits; default: as the seed")
    add("--top", type=_positive, default=3, metavar="N", help="classes to name (default: 3)")
    add("--json", action="store_true", help="print JSON")
    add("--plot", type=Path, metavar="OUT.png", help="draw images and probabilities")
    add("--pretrained", action="store_true", help="ImageNet classes, from the backbone's own head")
    add("--backbone", metavar="NAME", help="with --pretrained: this timm model")
    parser.set_defaults(run=predict)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


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
    gpus = leases.visible()
    print(f"experiment  {experiment.experiment}")
    print(_images(experiment.dataset, survey))
    backbone = experiment.backbone
    print(f"backbone    {backbone.name} of {backbone.library}, weights {backbone.weights}")
    print(f"devices     {len(gpus)} GPUs" if gpus else "devices     no GPU: the CPU")
    print(_grid(experiment))
    print("what would run:", flush=True)
    return _dry_run(options.file, options.overrides)


def _images(dataset: config.Dataset, survey: "Survey | None") -> str:
    if survey is None:
        return f"images      to be fetched from {dataset.address or f'torchvision, {dataset.name}'}"
    return "\n".join(f"{heading:<12}{text}" for heading, text in survey.lines())


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


def predict(options: argparse.Namespace) -> int:
    """Name the most probable classes of images; say on stderr with which model.

    The status is 1 if one cannot be read, which stderr names and JSON has as an error.
    """
    from headstart.data import pictures

    _require_sense(options)
    images = pictures.find(options.images)
    experiment, run, chosen = _choose(options)
    for key, value in chosen.items():
        print(f"{key:<12}{value}", file=sys.stderr, flush=True)

    from headstart import prediction

    if experiment and run:
        classifier = prediction.trained(experiment, run)
    else:
        classifier = prediction.pretrained(experiment, options.backbone)
    done = prediction.classify(classifier, images)
    rows = (prediction.top(row, classifier.classes, options.top) for row in done.scores)
    likely = dict(zip(done.paths, rows, strict=True))
    if options.json:
        print(_as_json(images, likely, done.broken))
    elif likely:
        print(_as_text(done.paths, likely))
    for path, error in done.broken.items():
        print(one_line(f"error: {_printable(path)}: {error}"), file=sys.stderr)
    if options.plot and likely:
        _plot(options.plot, done, likely, str(run or "ImageNet classes"))
    return 1 if done.broken else 0


def _require_sense(options: argparse.Namespace) -> None:
    trained = (options.strategy, options.fraction, options.seed, options.split)
    if options.backbone and not options.pretrained:
        raise HeadstartError("--backbone goes with --pretrained; add it")
    if options.backbone and options.experiment:
        raise HeadstartError("--backbone and --experiment name two backbones; leave one out")
    if options.pretrained and trained != (None, None, None, None):
        raise HeadstartError("--pretrained uses no trained run; leave out what chooses one")
    if options.plot and options.plot.suffix.lower() != ".png":
        raise HeadstartError(f"--plot is {str(options.plot)!r}; give a name that ends in .png")


def _choose(options: argparse.Namespace) -> tuple[Path | None, Path | None, dict[str, str]]:
    """Folders of the experiment and of the run, where one is used, and what to say of them."""
    if not options.pretrained:
        experiment = results.experiment(options.experiment)
        run = results.run(
            experiment.folder, options.strategy, options.fraction, options.seed, options.split
        )
        return experiment.folder, run.folder, experiment.reasons | run.reasons
    source = results.experiment(options.experiment) if options.experiment else results.latest()
    if options.backbone or source is None:
        name = options.backbone or "tf_efficientnet_lite0"
        return None, None, {"backbone": f"{name} with its ImageNet head"}
    return source.folder, None, source.reasons | {"backbone": "its ImageNet head"}


def _as_text(images: Sequence[Path], likely: Mapping[Path, _Likely]) -> str:
    lines = []
    for path in images:
        lines.append(_printable(path))
        lines += [f"{100 * share:7.1f} %  {label}" for label, share in likely[path]]
    return "\n".join(lines)


def _as_json(
    images: Sequence[Path], likely: Mapping[Path, _Likely], broken: Mapping[Path, str]
) -> str:
    rows: list[dict[str, Any]] = []
    for path in images:
        if path in broken:
            rows.append({"image": _printable(path), "error": broken[path]})
            continue
        pairs = [{"label": label, "probability": share} for label, share in likely[path]]
        rows.append({"image": _printable(path), "predictions": pairs})
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _printable(path: Path) -> str:
    """The path, with a mark for bytes that are no UTF-8, as in names from old archives."""
    return os.fsencode(path).decode(errors="replace")


def _plot(
    path: Path, done: "prediction.Predictions", likely: Mapping[Path, _Likely], title: str
) -> None:
    from headstart import prediction
    from headstart.report.figures import prediction as figures

    shown = done.paths[: figures.MOST_ROWS]
    pictures = [prediction.thumbnail(image, done.ranges) for image in shown]
    captions = [image.name for image in shown]
    try:
        figures.predictions(pictures, captions, [likely[image] for image in shown], title, path)
    except OSError as error:
        raise HeadstartError(f"--plot {path}: {error.strerror}") from None
    count = len(done.paths)
    of = f" (the first {len(shown)} of {count} images)" if len(shown) < count else ""
    print(f"{'figure':<12}{path}{of}", file=sys.stderr)


def ui(options: argparse.Namespace) -> int:
    """Serve the MLflow UI of the local store until interrupted."""
    if not _STORE.exists():
        raise HeadstartError(f"{_STORE} does not exist; run an experiment first: make run")
    address = store.uri(_STORE.parent)
    store.follow(address)
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    print(f"MLflow UI: http://127.0.0.1:{options.port}  (Ctrl-C ends it)", flush=True)
    server = ["mlflow", "server", "--backend-store-uri", address]
    command = [sys.executable, "-m", *server, "--host", "127.0.0.1", "--port", str(options.port)]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
