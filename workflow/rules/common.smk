"""The checked experiment, and the functions that turn it into inputs and params."""

import os
import sys
from pathlib import Path

from snakemake.utils import update_config

WORKFLOW = Path(os.path.relpath(Path(os.fspath(workflow.current_basedir)).parent))
sys.path.insert(0, str(WORKFLOW.resolve()))
from headstart import HeadstartError, salvage  # noqa: E402
from headstart.tracking import connection, database, outages  # noqa: E402
from headstart.tracking.runlog import RunLog  # noqa: E402
from headstart.compute import devices  # noqa: E402
from headstart.experiment import config as experiments  # noqa: E402
from headstart.experiment import lines, loading, schema, tuning  # noqa: E402
from headstart.data import sources  # noqa: E402

# Jobs run scripts in processes of their own, perhaps in another environment.
os.environ.update(
    PYTHONPATH=os.pathsep.join(
        filter(None, [str(WORKFLOW.resolve()), os.getenv("PYTHONPATH", "")])
    ),
    GLIBC_TUNABLES=os.getenv("GLIBC_TUNABLES", devices.GLIBC_TUNABLES),
)

TRACKING = Path("results/mlflow")
# The executor is chosen later, but a limit of nodes (--jobs) is only there for one that submits.
SUBMITS = workflow.is_main_process and workflow.resource_settings.nodes is not None
ORIGIN = lines.Origin(
    tuple(workflow.overwrite_configfiles) or ("config/config.yaml",),
    schema.typed(dict(workflow.config_settings.config)),
)
update_config(config, ORIGIN.overrides)

try:
    if set("{}") & set(str(WORKFLOW.resolve())):
        raise HeadstartError(
            f"{WORKFLOW.resolve()}: Snakemake takes braces in a path for wildcards; rename the folder"
        )
    for file in filter(os.path.isfile, ORIGIN.files):
        loading.written(file)
    EXPERIMENT = loading.from_dict(config, ORIGIN)
    if workflow.is_main_process:
        from headstart import preflight, progress
        from headstart.tracking import checks

        preflight.check(EXPERIMENT, ORIGIN)
        checks.require_usable(connection.uri(TRACKING))
        if SUBMITS:
            database.share(connection.uri(TRACKING))
        logger.addHandler(progress.StudyProgress(logger.info))
except HeadstartError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{EXPERIMENT.experiment}"
RUN = f"{RESULTS}/runs/{{strategy}}/fraction-{{fraction}}/split-{{split}}/seed-{{seed}}"
JOB = "{strategy}_fraction-{fraction}_split-{split}_seed-{seed}"
TUNING = f"{RESULTS}/tuning/{{strategy}}/fraction-{{fraction}}/split-{{split}}"
TEST = f"{RESULTS}/tests/{{test}}"
TEST_RUN = RUN.replace(RESULTS, TEST, 1)
UNMADE = salvage.read()
SPLIT = f"{RESULTS}/splits/{{split}}"
SPLITS = EXPERIMENT.split.numbers(EXPERIMENT.seeds)
REPLICATES = EXPERIMENT.split.pairs(EXPERIMENT.seeds)
ENSEMBLES = [
    RUN.format(strategy=name, fraction=fraction, split=split, seed=REPLICATES[0][1])
    for name in EXPERIMENT.derived_by("ensemble")
    for fraction in EXPERIMENT.fractions
    for split in SPLITS
]
MODELS = [
    RUN.format(strategy=strategy, fraction=fraction, split=split, seed=seed)
    for strategy in [*EXPERIMENT.strategies, *EXPERIMENT.derived_by("wise_ft")]
    for fraction in EXPERIMENT.fractions
    for split, seed in REPLICATES
]
MISSING = salvage.missing(MODELS + ENSEMBLES, UNMADE)
MODELS = [run for run in MODELS if f"{run}/metrics.json" not in UNMADE]
RUNS = MODELS + [run for run in ENSEMBLES if f"{run}/metrics.json" not in UNMADE]
CHOICES = [
    f"{TUNING}/choice.json".format(strategy=strategy, fraction=fraction, split=split)
    for strategy in EXPERIMENT.strategies
    for fraction in EXPERIMENT.fractions
    for split in SPLITS
    if EXPERIMENT.tuning.trials
]
CHOICES = [choice for choice in CHOICES if choice not in UNMADE]
TESTS = [
    test
    for test in (TEST.format(test=name) for name in EXPERIMENT.tests)
    if not any(
        f"{run.replace(RESULTS, test, 1)}/metrics.json" in UNMADE for run in MODELS
    )
]
NOTHING = "(?!)"


wildcard_constraints:
    trial=r"\d+",
    strategy="[a-z][a-z0-9_]*",
    fraction=r"\d\.\d+",
    split=r"\d+",
    seed=r"\d+",
    test="|".join(EXPERIMENT.tests) or NOTHING,


def strategies_from(features):
    """Pattern of the strategies that train from features, or of those that do not."""
    strategies = EXPERIMENT.strategies.items()
    names = [n for n, s in strategies if (s.features is not None) == features]
    return "|".join(names) or NOTHING


def derived_by(kind):
    return "|".join(EXPERIMENT.derived_by(kind)) or NOTHING


def run_files(name, runs=RUNS):
    return [f"{run}/{name}" for run in runs]


def run_labels(figure):
    """Labels of a run's figure in Snakemake's own report."""
    keys = ("strategy", "fraction", "split", "seed")
    return {"figure": figure} | {key: f"{{{key}}}" for key in keys}
