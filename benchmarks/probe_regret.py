"""How far the recipe `probe` stays below the best of a wide search over logistic regressions.

    python benchmarks/probe_regret.py RESULTS/EXPERIMENT…

Each experiment is one whose features are there, those of the test images too, one split per seed
(`split: {redraw: true}`, seeds 0, 1 and 2). The search is over strengths half a decade apart, on
every view or the plain one, on features as they are or standardised. It goes from the strongest
penalty on, until for two decades none was better. The best is chosen by test accuracy, the mean of
three splits, so that the regret is an upper bound.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from regret import SEEDS, Search, Silent
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headstart.compute import devices
from headstart.training import inputs as reading
from headstart.training import probes

STRENGTHS = np.logspace(-5, 4, 19)
_PATIENCE = 4
WAYS = [(views, scaled) for views in ("all", "plain") for scaled in (False, True)]


@dataclass(frozen=True)
class Part:
    """A split: what a probe is fitted on, float32 (views, n, d), and tested on (m, d)."""

    features: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    recipe: float

    def accuracy(self, c: float, views: str, scaled: bool) -> float:
        shown = self.features if views == "all" else self.features[:1]
        fitted = LogisticRegression(C=c, max_iter=1000)
        model = make_pipeline(StandardScaler(), fitted) if scaled else fitted
        model.fit(shown.reshape(-1, shown.shape[-1]), np.tile(self.labels, len(shown)))
        return float(model.score(self.test, self.test_labels))


def part(experiment: Path, seed: int) -> Part:
    search = Search("probe", experiment, Path())
    job = search._job(search.recipe, seed)
    inputs = reading.read(job, devices.open_device("auto", 1))
    examples = inputs.examples
    features = np.load(experiment / "features/pooled.npy", mmap_mode="r")
    head = probes.fit(job.strategy, features, examples, seed, Silent()).best_model
    listed = pd.read_csv(experiment / f"splits/{seed}/test.csv", dtype=str)
    names = (experiment / f"features/test/{seed}.txt").read_text().splitlines()
    places = pd.Series(range(len(names)), names)[listed.id]
    test = np.load(experiment / f"features/test/{seed}.npy")[0, places]
    wanted = np.array([inputs.classes.index(label) for label in listed.label])
    logits = test @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    parts = ["train", "val"] if probes.trains_on_val(job.strategy, examples) else ["train"]
    rows = np.concatenate([examples.rows[name] for name in parts])
    labels = np.concatenate([examples.labels[name] for name in parts])
    right = float((logits.argmax(1) == wanted).mean())
    return Part(np.asarray(features[:, rows]), labels, test, wanted, right)


def walked(splits: list[Part], views: str, scaled: bool) -> dict[float, float]:
    """Mean accuracy by strength, until it has not risen for `_PATIENCE` strengths."""
    found: dict[float, float] = {}
    for c in map(float, STRENGTHS):
        found[c] = float(np.mean([split.accuracy(c, views, scaled) for split in splits]))
        if probes.has_turned([-value for value in found.values()], _PATIENCE):
            break
    return found


def main() -> None:
    for experiment in map(Path, sys.argv[1:]):
        splits = [part(experiment, seed) for seed in SEEDS]
        print(f"{experiment.name}, {len(splits[0].test_labels)} test images")
        print(f"  probe {np.mean([split.recipe for split in splits]):.1%}", flush=True)
        for views, scaled in WAYS:
            found = walked(splits, views, scaled)
            best = max(found, key=lambda c: found[c])
            way = f"{views} views, {'standardised' if scaled else 'as they are'}"
            print(f"  {way}: best {found[best]:.1%} at C = {best:.1e}", flush=True)


if __name__ == "__main__":
    main()
