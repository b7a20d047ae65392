"""The folder in which a run is handed over: the model as ONNX and for timm, and its card."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from headstart import HeadstartError, __version__, prediction
from headstart.data.cache import ImageCache
from headstart.delivery import card, graph
from headstart.delivery.choice import Chosen
from headstart.delivery.exported import Exported
from headstart.models.neighbours import Neighbours

_FILES = ("model.onnx", "model.onnx.data", "model.safetensors", "config.json", "README.md")
_COMPARED = 100


@dataclass(frozen=True)
class Parity:
    """The largest difference of a probability between ONNX Runtime and torch."""

    largest: float
    images: int


def write(experiment: Path, chosen: Chosen, output: Path) -> Parity:
    """Write the folder of a run; it appears, or changes, only when the model was found equal.

    Args:
        experiment: folder of the experiment, with its cache, split and manifest.
        output: the folder; an earlier export there is replaced.

    Raises:
        HeadstartError: the folder holds something else, or the model cannot be exported, or
            ONNX Runtime's probabilities are not torch's.
    """
    classifier = prediction.trained(experiment, chosen.folder)
    run = json.loads((chosen.folder / "run.json").read_text())
    with _replacing(output) as folder:
        graph.write(classifier, folder / "model.onnx", _origin(experiment, chosen, run, classifier))
        for_timm = _is_timm_s_own(classifier, run)
        if for_timm:
            _save_for_timm(classifier, folder)
        (folder / "model.safetensors").unlink(missing_ok=True)  # timm's, for its owner alone
        shutil.copyfile(chosen.folder / "model.safetensors", folder / "model.safetensors")
        parity = _compare(experiment, classifier, folder / "model.onnx", run["split"])
        subject = card.Subject(experiment, chosen, run, classifier, for_timm)
        text = card.text(subject, parity.largest, parity.images)
        (folder / "README.md").write_text(text, encoding="utf-8")
    return parity


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    """A new folder whose files move to `output` at the end, unless the block fails."""
    if output.exists() and not output.is_dir():
        raise HeadstartError(f"--output {output} is a file; name a folder")
    others = sorted({path.name for path in output.glob("*")} - set(_FILES))
    if others:
        raise HeadstartError(f"--output {output} holds other files ({others[0]}); name another")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=output.parent) as name:
            yield Path(name)
            output.mkdir(exist_ok=True)
            for path in output.iterdir():
                path.unlink()
            for path in Path(name).iterdir():
                path.rename(output / path.name)
    except OSError as error:
        raise HeadstartError(f"--output {output}: {error.strerror}") from None


def _compare(
    experiment: Path, classifier: prediction.Classifier, model: Path, split: int
) -> Parity:
    """Compare on up to a hundred test images, spread over the whole test set."""
    cache = ImageCache.open(experiment / "cache/images.bin", experiment / "cache/index.csv")
    test = pd.read_csv(experiment / f"splits/{split}/test.csv", dtype=str, keep_default_na=False)
    rows = np.linspace(0, len(test) - 1, min(_COMPARED, len(test))).astype(int)
    ids = list(test.id.iloc[rows])
    return Parity(graph.parity(classifier, Exported.read(model), cache, ids), len(ids))


def _origin(
    experiment: Path, chosen: Chosen, run: dict[str, Any], classifier: prediction.Classifier
) -> dict[str, Any]:
    return {
        "experiment": experiment.resolve().name,
        "run": chosen.name,
        "backbone": run["settings"]["backbone"]["name"],
        "split_hash": run.get("split_hash", ""),
        "temperature": classifier.temperature,
        "flips": list(classifier.flips),
        "opset": graph.OPSET,
        "headstart": __version__,
    }


def _is_timm_s_own(classifier: prediction.Classifier, run: dict[str, Any]) -> bool:
    """Whether timm makes this very network: no other stem, and a linear head."""
    backbone = run["settings"]["backbone"]
    voting = any(isinstance(module, Neighbours) for module in classifier.model.modules())
    return backbone["library"] == "timm" and backbone.get("stem") != "small" and not voting


def _save_for_timm(classifier: prediction.Classifier, folder: Path) -> None:
    """Write what `timm.create_model("local-dir:…", pretrained=True)` reads."""
    from timm.models import save_for_hf

    image = classifier.image
    data = {key: image[key] for key in ("crop_pct", "interpolation", "mean", "std")}
    own = {"loss": classifier.loss, "temperature": classifier.temperature}
    save_for_hf(
        classifier.model,
        str(folder),
        model_config={"label_names": classifier.classes, "headstart": own},
        safe_serialization=True,
        data_config=data | {"input_size": (3, image["size"], image["size"])},
    )
