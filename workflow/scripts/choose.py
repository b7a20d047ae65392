"""Choose among the trials of a strategy the one that validates best."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from headstart import logs, paths
from headstart.experiment import tuning
from headstart.tracking import connection, entries, outages

logger = logging.getLogger("headstart.choose")

SHOWN = ("tried", "val_loss", "val_accuracy", "device_seconds")


@dataclass(frozen=True)
class Files:
    trials: tuple[Path, ...]
    tracking: Path
    choice: Path


def main(files: Files, place: dict[str, str]) -> None:
    trials = [json.loads(path.read_text()) for path in files.trials]
    losses = [trial["losses"] for trial in trials]
    chosen, images = tuning.chosen(losses), len(losses[0])
    edge = tuning.on_edge([trial["tried"] for trial in trials], chosen)
    choice = {
        "strategy": trials[chosen]["strategy"],
        "place": place,
        "chosen": chosen,
        "images": images,
        "edge": edge,
        "trials": [{name: trial[name] for name in SHOWN} for trial in trials],
        "device_seconds": sum(trial["device_seconds"] for trial in trials),
    }
    files.choice.write_text(json.dumps(choice, indent=2) + "\n")
    name, found = place["strategy"], trials[chosen]["tried"]
    logger.info("%s: of %d trials %s is chosen", name, len(trials), found)
    if images < tuning.ENOUGH:
        logger.warning(
            "%s: judged by %d images, where chance has a large part in the choice", name, images
        )
    if edge:
        logger.warning(
            "%s: the best %s, %g, is the last one tried on its side; more trials may find a better",
            name,
            edge,
            found[edge],
        )
    with outages.spared(files.tracking):
        entries.chosen(connection.reach(files.tracking), files.choice)


if "snakemake" in globals():
    with logs.job(snakemake.log[0]):
        main(paths.named(Files, snakemake.input, snakemake.output), dict(snakemake.params.place))
