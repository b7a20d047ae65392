"""The headstart command: check an experiment before it runs, look at it afterwards."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import HeadstartError, __version__, preflight, results
from headstart.compute import leases
from headstart.experiment import config, loading

if TYPE_CHECKING:
    import pandas as pd

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
    add("images", nargs="+", type=Path, metavar="IMAGE", help="image file, or folder of images")
    add("--experiment", metavar="E", help="name under results/ (default: the latest finished)")
    add("--strategy", metavar="S", help="default: the verdict's leader")
    add("--fraction", type=float, metavar="F", help="default: the largest")
    add("--seed", type=int, metavar="K", help="default: the best on the validation images")
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


def check(options: argparse.Namespace) -> int:
    """Validate config, data and weights; print the grid, the devices and what would run."""
    raw, origin = loading.read(options.file, options.overrides)
    experiment = loading.from_dict(raw, origin)
    listing = preflight.check(experiment, origin)
    gpus = leases.visible()
    print(f"experiment  {experiment.experiment}")
    print(f"images      {_images(experiment.dataset, listing)}")
    backbone = experiment.backbone
    print(f"backbone    {backbone.name} of {backbone.library}, weights {backbone.weights}")
    print(f"devices     {len(gpus)} GPUs" if gpus else "devices     no GPU: the CPU")
    print(_grid(experiment))
    print("what would run:", flush=True)
    return _dry_run(options.file, options.overrides)


def _images(dataset: config.Dataset, listing: "pd.DataFrame | None") -> str:
    if listing is None:
        return f"to be fetched from {dataset.address or f'torchvision, {dataset.name}'}"
    classes = listing.label.value_counts()
    return (
        f"{len(listing):,} files in {len(classes)} classes, "
        f"{classes.min():,} to {classes.max():,} a class"
    )


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
    return "\n".join(lines)


def _phase(phase: config.Phase) -> str:
    if phase.train == "probe":
        return f"a probe ({phase.classifier})"
    return f"{phase.train} for {phase.epochs} epoch{'s' if phase.epochs > 1 else ''}"


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
    """Name the most probable classes of images; say on stderr with which model."""
    _require_sense(options)
    images = _find_images(options.images)
    experiment, run, chosen = _choose(options)
    for key, value in chosen.items():
        print(f"{key:<12}{value}", file=sys.stderr, flush=True)

    from headstart import prediction

    if experiment and run:
        classifier = prediction.trained(experiment, run)
    else:
        classifier = prediction.pretrained(experiment, options.backbone)
    scores = prediction.classify(classifier, images)
    likely = [prediction.top(row, classifier.classes, options.top) for row in scores]
    print(_as_json(images, likely) if options.json else _as_text(images, likely))
    if options.plot:
        _plot(options.plot, images, likely, str(run or "ImageNet classes"))
    return 0


def _require_sense(options: argparse.Namespace) -> None:
    trained = (options.strategy, options.fraction, options.seed)
    if options.backbone and not options.pretrained:
        raise HeadstartError("--backbone goes with --pretrained; add it")
    if options.backbone and options.experiment:
        raise HeadstartError("--backbone and --experiment name two backbones; leave one out")
    if options.pretrained and trained != (None, None, None):
        raise HeadstartError("--pretrained uses no trained run; leave out what chooses one")
    if options.plot and options.plot.suffix.lower() != ".png":
        raise HeadstartError(f"--plot is {str(options.plot)!r}; give a name that ends in .png")


def _choose(options: argparse.Namespace) -> tuple[Path | None, Path | None, dict[str, str]]:
    """Folders of the experiment and of the run, where one is used, and what to say of them."""
    if not options.pretrained:
        experiment = results.experiment(options.experiment)
        run = results.run(experiment.folder, options.strategy, options.fraction, options.seed)
        return experiment.folder, run.folder, experiment.reasons | run.reasons
    source = results.experiment(options.experiment) if options.experiment else results.latest()
    if options.backbone or source is None:
        name = options.backbone or "tf_efficientnet_lite0"
        return None, None, {"backbone": f"{name} with its ImageNet head"}
    return source.folder, None, source.reasons | {"backbone": "its ImageNet head"}


def _find_images(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and the images in and below the folders among them, by name."""
    found: list[Path] = []
    missing = []
    for path in paths:
        files = [path] if path.is_file() else sorted(filter(_is_image, path.rglob("*")))
        found += files
        if not files:
            missing.append(f"{path} (a folder without images)" if path.is_dir() else str(path))
    if missing:
        raise HeadstartError(f"no such image: {', '.join(missing)}")
    return found


def _is_image(path: Path) -> bool:
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    return kind in Image.OPEN and not path.name.startswith(".") and path.is_file()


def _as_text(images: Sequence[Path], likely: Sequence[Sequence[tuple[str, float]]]) -> str:
    lines = []
    for path, pairs in zip(images, likely, strict=True):
        lines += [_printable(path), *(f"{100 * share:7.1f} %  {name}" for name, share in pairs)]
    return "\n".join(lines)


def _as_json(images: Sequence[Path], likely: Sequence[Sequence[tuple[str, float]]]) -> str:
    rows = [
        {
            "image": _printable(path),
            "predictions": [{"label": name, "probability": share} for name, share in pairs],
        }
        for path, pairs in zip(images, likely, strict=True)
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def _printable(path: Path) -> str:
    """The path, with a mark for bytes that are no UTF-8, as in names from old archives."""
    return os.fsencode(path).decode(errors="replace")


def _plot(
    path: Path, images: Sequence[Path], likely: Sequence[Sequence[tuple[str, float]]], title: str
) -> None:
    from headstart import prediction
    from headstart.report.figures import prediction as figures

    shown = images[: figures.MOST_ROWS]
    pictures = [prediction.thumbnail(image) for image in shown]
    try:
        figures.predictions(
            pictures, [image.name for image in shown], likely[: len(shown)], title, path
        )
    except OSError as error:
        raise HeadstartError(f"--plot {path}: {error.strerror}") from None
    of = f" (the first {len(shown)} of {len(images)} images)" if len(shown) < len(images) else ""
    print(f"{'figure':<12}{path}{of}", file=sys.stderr)


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
