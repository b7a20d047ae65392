"""headstart predict: the most probable classes of images, with the model that is chosen."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart import HeadstartError, one_line, results

if TYPE_CHECKING:
    from headstart.classification import Predictions

_Likely = Sequence[tuple[str, float]]


def add(parser: argparse.ArgumentParser) -> None:
    """Give the parser the command's arguments."""
    option = parser.add_argument
    option("images", nargs="+", metavar="IMAGE", help="image file, or folder of images")
    option("--onnx", type=Path, metavar="FILE", help="an exported model, run without torch")
    option("--experiment", metavar="E", help="name under results/ (default: the latest finished)")
    option("--strategy", metavar="S", help="default: the verdict's leader")
    option("--fraction", type=float, metavar="F", help="default: the largest")
    option("--seed", type=int, metavar="K", help="default: the best on the validation images")
    option("--split", type=int, metavar="K", help="of several splits; default: as the seed")
    option("--top", type=_positive, default=3, metavar="N", help="classes to name (default: 3)")
    option("--json", action="store_true", help="print JSON")
    option("--plot", type=Path, metavar="OUT.png", help="draw images and probabilities")
    option(
        "--pretrained", action="store_true", help="ImageNet classes, from the backbone's own head"
    )
    option("--backbone", metavar="NAME", help="with --pretrained: this timm model")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def run(options: argparse.Namespace) -> int:
    """Name the most probable classes of images; say on stderr with which model.

    The status is 1 if one cannot be read, which stderr names and JSON has as an error.
    """
    from headstart import classification
    from headstart.data import pictures

    _require_sense(options)
    images = pictures.find(options.images)
    done, classes, title = _classified(options, images)
    rows = (classification.top(row, classes, options.top) for row in done.scores)
    likely = dict(zip(done.paths, rows, strict=True))
    if options.json:
        print(_as_json(images, likely, done.broken))
    elif likely:
        print(_as_text(done.paths, likely))
    for path, error in done.broken.items():
        print(one_line(f"error: {_printable(path)}: {error}"), file=sys.stderr)
    if options.plot and likely:
        _plot(options.plot, done, likely, title)
    return 1 if done.broken else 0


def _classified(
    options: argparse.Namespace, images: Sequence[Path]
) -> "tuple[Predictions, Sequence[str], str]":
    """What became of the images, the classes, and a title; an exported model needs no torch."""
    if options.onnx:
        from headstart.delivery.exported import Exported

        model = Exported.read(options.onnx)
        return model.classify(images), model.classes, str(options.onnx)
    experiment, run, chosen = _choose(options)
    for key, value in chosen.items():
        print(f"{key:<12}{value}", file=sys.stderr, flush=True)

    from headstart import prediction

    if experiment and run:
        classifier = prediction.trained(experiment, run)
    else:
        classifier = prediction.pretrained(experiment, options.backbone)
    done = prediction.classify(classifier, images)
    return done, classifier.classes, str(run or "ImageNet classes")


def _require_sense(options: argparse.Namespace) -> None:
    others = (options.experiment, options.backbone, options.pretrained or None)
    trained = (options.strategy, options.fraction, options.seed, options.split)
    if options.backbone and not options.pretrained:
        raise HeadstartError("--backbone goes with --pretrained; add it")
    if options.backbone and options.experiment:
        raise HeadstartError("--backbone and --experiment name two backbones; leave one out")
    if options.pretrained and trained != (None, None, None, None):
        raise HeadstartError("--pretrained uses no trained run; leave out what chooses one")
    if options.onnx and any(given is not None for given in (*others, *trained)):
        raise HeadstartError("--onnx is the model itself; leave out what chooses another")
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


def _plot(path: Path, done: "Predictions", likely: Mapping[Path, _Likely], title: str) -> None:
    from headstart import classification
    from headstart.report.figures import prediction as figures

    shown = done.paths[: figures.MOST_ROWS]
    pictures = [classification.thumbnail(image, done.ranges) for image in shown]
    captions = [image.name for image in shown]
    try:
        figures.predictions(pictures, captions, [likely[image] for image in shown], title, path)
    except OSError as error:
        raise HeadstartError(f"--plot {path}: {error.strerror}") from None
    count = len(done.paths)
    of = f" (the first {len(shown)} of {count} images)" if len(shown) < count else ""
    print(f"{'figure':<12}{path}{of}", file=sys.stderr)
