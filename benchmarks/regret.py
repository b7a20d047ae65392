"""How far a built-in recipe stays below the best of a wide search over the same strategy.

    python benchmarks/regret.py full FOUND.jsonl RESULTS/EXPERIMENT…

Each experiment is one whose cache, features and splits are there, one split per seed
(`split: {redraw: true}`, seeds 0, 1 and 2). The search is over rates of two decades around the
recipe's, both statistics of BatchNorm and twice the recipe's length:

1. for each kind of statistics three rates around the recipe's at its length, on split 0, and the
   next rate as long as the best stands on the edge;
2. the best two of all at twice the length, on split 0;
3. the best two of all, and the recipe, on splits 1 and 2.

The best is chosen by test accuracy, so that the regret is an upper bound of what tuning gains. What
is in FOUND is not trained again.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from headstart import prediction
from headstart.compute import devices
from headstart.experiment import loading
from headstart.experiment.config import Strategy
from headstart.provenance import RunName
from headstart.training import inputs as reading
from headstart.training import loop
from headstart.training.checkpoints import Progress
from headstart.training.jobs import Job, RunFiles, TrainingFiles
from headstart.training.journal import Journal

SEEDS = (0, 1, 2)
RATES = (0.1, 0.32, 1.0, 3.2, 10.0)
FINALISTS = 2


@dataclass(frozen=True)
class Setting:
    """A recipe's rates times a factor, its statistics, and its length times a factor."""

    rate: float
    norm: str
    length: int = 1

    def of(self, recipe: Strategy) -> Strategy:
        phases = tuple(
            replace(
                phase,
                lr=phase.lr * self.rate,
                norm=self.norm if phase.train != "probe" else phase.norm,
                epochs=phase.epochs * self.length,
                steps=(phase.steps or 0) * self.length,
            )
            for phase in recipe.phases
        )
        return replace(recipe, phases=phases)


class Silent(Journal):
    """A journal that leaves nothing."""

    def __init__(self) -> None:
        pass

    def open(self) -> Progress:
        return Progress()

    def due(self) -> bool:
        return False

    def save(self, progress: Progress) -> None:
        pass


class Search:
    """The search over one strategy on one experiment; what is found is appended to a file."""

    def __init__(self, strategy: str, experiment: Path, found: Path) -> None:
        self.name, self.experiment, self.found = strategy, experiment, found
        raw = {"experiment": "regret", "dataset": {"source": "folder", "path": "."}}
        self.recipe = loading.from_dict(raw | {"strategies": [strategy]}).strategies[strategy]
        self.norm = self.recipe.phases[-1].norm

    def run(self) -> None:
        recipe = Setting(1.0, self.norm)
        norms = ("frozen", "batch") if self.recipe.init == "pretrained" else ("batch",)
        first = [setting for norm in norms for setting in self._rates(norm)]
        by_score = sorted(first, key=lambda each: -self.accuracy(each, 0))
        longer = [replace(each, length=2) for each in by_score[:2]]
        by_score = sorted(first + longer, key=lambda each: -self.accuracy(each, 0))
        for setting in {recipe: 0} | dict.fromkeys(by_score[:FINALISTS], 0):
            for seed in SEEDS[1:]:
                self.accuracy(setting, seed)

    def _rates(self, norm: str) -> list[Setting]:
        """The rates that were tried with one kind of statistics: outwards from the middle."""
        low, high = 1, len(RATES) - 2
        while True:
            tried = [Setting(rate, norm) for rate in RATES[low : high + 1]]
            found = [self.accuracy(each, 0) for each in tried]
            best = low + found.index(max(found))
            if best == low > 0:
                low -= 1
            elif best == high < len(RATES) - 1:
                high += 1
            else:
                return tried

    def accuracy(self, setting: Setting, seed: int) -> float:
        """Test accuracy of one training, read from what is found or trained."""
        place = {"experiment": self.experiment.name, "strategy": self.name, "seed": seed}
        wanted = place | asdict(setting)
        for row in rows(self.found):
            if wanted.items() <= row.items():
                return row["accuracy"]
        right = self._train(setting, seed)
        with self.found.open("a") as file:
            file.write(json.dumps(wanted | {"accuracy": right.mean(), "n": len(right)}) + "\n")
        return float(right.mean())

    def _train(self, setting: Setting, seed: int) -> np.ndarray:
        device = devices.open_device("auto", 1)
        inputs = reading.read(self._job(setting.of(self.recipe), seed), device)
        task, batches = reading.prepare(inputs)
        try:
            progress = loop.fit(task, batches, inputs.job.strategy, seed, Silent())
        except Exception as error:  # a rate so high that the loss is no number
            print(self.experiment.name, setting, error)
            return np.zeros(1)
        test = pd.read_csv(self.experiment / f"splits/{seed}/test.csv", dtype=str)
        model = reading.whole_model(inputs, progress)
        classifier = prediction.Classifier(
            model, inputs.classes, inputs.backbone.image, "cross_entropy", ()
        )
        found = prediction.probabilities(classifier, inputs.cache, list(test.id), device)
        return np.array(inputs.classes)[found.argmax(1)] == test.label.to_numpy()

    def _job(self, strategy: Strategy, seed: int) -> Job:
        here = self.experiment
        files = TrainingFiles(
            backbone=here / "backbone/config.json",
            weights=here / "backbone/weights.safetensors",
            train_val=here / f"splits/{seed}/train_val.csv",
            classes=here / "classes.json",
            images=here / "cache/images.bin",
            index=here / "cache/index.csv",
            tracking=here / "tracking.json",
            probe_features=here / "features/pooled.npy",
        )
        nothing = RunFiles(*[here / "none"] * 4)
        return Job(RunName(here.name, self.name, 1.0, seed, seed), strategy, files, nothing)


def rows(found: Path) -> Iterator[dict]:
    if found.exists():
        yield from map(json.loads, found.read_text().splitlines())


def table(strategy: str, found: Path) -> pd.DataFrame:
    """Per experiment: accuracy of the recipe and of the best with three seeds, percent."""
    frame = pd.DataFrame(row for row in rows(found) if row["strategy"] == strategy)
    of_seeds = frame.groupby(["experiment", "rate", "norm", "length"]).agg(
        accuracy=("accuracy", "mean"), seeds=("seed", "nunique"), n=("n", "mean")
    )
    whole = of_seeds[of_seeds.seeds == len(SEEDS)].reset_index()
    norm = Search(strategy, Path(), found).norm
    recipe = whole[(whole.rate == 1) & (whole.length == 1) & (whole.norm == norm)]
    best = whole.loc[whole.groupby("experiment").accuracy.idxmax()]
    both = recipe.merge(best, on="experiment", suffixes=("", "_best"))
    both["regret"] = both.accuracy_best - both.accuracy
    percent = both[["accuracy", "accuracy_best", "regret"]].mul(100).round(1)
    kept = ["experiment", "n", "rate_best", "norm_best", "length_best"]
    return pd.concat([both[kept], percent], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("strategy")
    parser.add_argument("found", type=Path)
    parser.add_argument("experiments", type=Path, nargs="*")
    chosen = parser.parse_args()
    for experiment in chosen.experiments:
        Search(chosen.strategy, experiment, chosen.found).run()
    print(table(chosen.strategy, chosen.found).to_string(index=False))


if __name__ == "__main__":
    main()
