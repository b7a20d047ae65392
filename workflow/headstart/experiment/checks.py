"""Rules of the configuration that span several keys, which a schema cannot express."""

from collections.abc import Iterator

from headstart.experiment.config import Experiment, Phase, Split, Strategy, Transform
from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError


def check(experiment: Experiment, origin: Origin) -> None:
    """Check the rules that span several keys.

    Args:
        origin: where the experiment was read from, to name in an error.

    Raises:
        ConfigError: in one line, the key that breaks a rule, its value and the rule.
    """
    if mistake := next(_mistakes(experiment), None):
        raise ConfigError(origin.located(mistake))


def _mistakes(experiment: Experiment) -> Iterator[str]:
    """What breaks a rule, each time led by the key."""
    yield from _bounds(experiment.augmentation, "augmentation")
    yield from _split(experiment.split)
    for name, strategy in experiment.strategies.items():
        key = f"strategies.{name}"
        yield from _start(strategy, experiment, key)
        yield from _batches(strategy, experiment, key)
        for index, phase in enumerate(strategy.phases):
            yield from _phase(phase, experiment.image.size, f"{key}.phases[{index}]")
        yield from _augmentation(strategy, experiment, key)
        yield from _padding(strategy, experiment, key)
    yield from _derived(experiment)


def _derived(experiment: Experiment) -> Iterator[str]:
    """What is derived needs the strategies that it is made from, and several seeds to average."""
    there = f"but the strategies are {', '.join(experiment.strategies)}; name one of them"
    pairs = experiment.split.pairs(experiment.seeds)
    for name, derived in experiment.derived.items():
        key = f"derived.{name}"
        if name in experiment.strategies:
            yield f"{key} has the name of a strategy; give it its own"
        if derived.of not in experiment.strategies:
            yield f"{key}.of is {derived.of!r}, {there}"
        if derived.kind == "wise_ft" and derived.start not in experiment.strategies:
            yield f"{key}.start is {derived.start!r}, {there}"
        if derived.kind == "ensemble" and derived.start:
            yield f"{key}.start is {derived.start!r}, but an ensemble has none; leave it out"
        if derived.kind == "ensemble" and len(pairs) == len(dict(pairs)):
            yield (
                f"{key}.kind is 'ensemble', but each split has a single seed; give several seeds, "
                "or leave it out"
            )


def _split(split: Split) -> Iterator[str]:
    """Folds decide what is tested, and so leave no room for a share or a redraw."""
    if split.folds and split.test != "auto":
        yield (
            f"dataset.split.test is {split.test}, but dataset.split.folds is {split.folds}, which "
            "decides what is tested; leave one out"
        )
    if split.folds and split.redraw:
        yield (
            "dataset.split.redraw is true, but dataset.split.folds already divides the images "
            "several times; leave one out"
        )


def _start(strategy: Strategy, experiment: Experiment, key: str) -> Iterator[str]:
    """Where the weights start must suit what trains."""
    kinds = {phase.train for phase in strategy.phases}
    if experiment.backbone.weights == "none" and strategy.init == "pretrained":
        yield (
            f"{key}.init is 'pretrained', but backbone.weights is 'none'; "
            "name weights or set init to random"
        )
    if strategy.init != "pretrained" and kinds <= {"head", "probe"}:
        yield (
            f"{key}.phases train only the head of a random backbone; train all, "
            "or set init to pretrained"
        )
    if "probe" in {phase.train for phase in strategy.phases[1:]}:
        yield f"{key}.phases have a probe after another phase; a probe can only come first"
    if strategy.init != "pretrained":
        frozen = [i for i, phase in enumerate(strategy.phases) if phase.norm == "frozen"]
        if frozen:
            yield (
                f"{key}.phases[{frozen[0]}].norm is 'frozen', but init is {strategy.init!r}, which "
                "brings no statistics to keep; leave norm out"
            )
    if strategy.starts_with_probe and strategy.phases[0].classifier == "knn":
        yield (
            f"{key}.phases[0].classifier is 'knn', which gives no head to go on from; take "
            "logistic_regression, or make the probe the only phase"
        )
    if strategy.starts_with_probe and strategy.init != "pretrained":
        yield (
            f"{key}.phases begin with a probe, which is fitted on pretrained features, but init is "
            f"{strategy.init!r}; set it to pretrained"
        )


def _batches(strategy: Strategy, experiment: Experiment, key: str) -> Iterator[str]:
    """Every GPU needs an image of each batch, and all of them take it in step."""
    training = strategy.training
    key = "" if training == experiment.training else f"{key}."
    if training.gpus > 1 and training.in_parts:
        yield (
            f"{key}training.gpus is {training.gpus}, but batch_size is 'auto', which finds what "
            "fits on one GPU; give a number, or train on one"
        )
    if training.gpus > training.batch_size:
        yield (
            f"{key}training.gpus is {training.gpus}, but must be at most batch_size, "
            f"{training.batch_size}, of which each GPU takes its share"
        )


def _phase(phase: Phase, size: int | None, key: str) -> Iterator[str]:
    """A phase's settings must fit each other and `size`, that of the images."""
    if (phase.train == "last_k_stages") != (phase.stages is not None):
        yield (
            f"{key}.stages is {phase.stages!r}, but train is {phase.train!r}; "
            "stages belongs to last_k_stages, and only there"
        )
    if phase.start_size and size and phase.start_size > size:
        yield f"{key}.start_size is {phase.start_size}, but must be at most image.size, {size}"
    peak = phase.lr * min(1.0, phase.head_lr_multiplier)
    if phase.min_lr > peak:
        yield f"{key}.min_lr is {phase.min_lr}, but must be at most the peak rate, {peak}"


def _augmentation(strategy: Strategy, experiment: Experiment, key: str) -> Iterator[str]:
    """A strategy on features cannot have its own."""
    if strategy.from_features and strategy.augmentation != experiment.augmentation:
        yield (
            f"{key}.augmentation differs from the experiment's, but a strategy that trains only "
            "the head uses features made under the experiment's; leave it out"
        )
    yield from _bounds(strategy.augmentation, f"{key}.augmentation")


def _padding(strategy: Strategy, experiment: Experiment, key: str) -> Iterator[str]:
    """Padding mirrors the picture, which has but so many pixels, the fewest in a first epoch."""
    sizes = [size for phase in strategy.phases if (size := phase.start_size)]
    smallest = min([*sizes, *filter(None, [experiment.image.size])], default=None)
    key = "" if strategy.augmentation == experiment.augmentation else f"{key}."
    for index, transform in enumerate(strategy.augmentation):
        padding = dict(transform.parameters).get("padding", 0)
        if smallest and padding >= smallest:
            yield (
                f"{key}augmentation[{index}].padding is {padding}, but must be less than the side "
                f"of the images, {smallest}"
            )


def _bounds(augmentation: tuple[Transform, ...], key: str) -> Iterator[str]:
    """The lower bound of a range comes first."""
    for index, transform in enumerate(augmentation):
        for name, value in transform.parameters:
            if isinstance(value, tuple) and value[0] > value[1]:
                yield f"{key}[{index}].{name} is {list(value)}, but the lower bound comes first"
