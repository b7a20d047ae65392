"""Rules of the configuration that span several keys, which a schema cannot express."""

from typing import TYPE_CHECKING

from headstart.experiment.schema import ConfigError

if TYPE_CHECKING:
    from headstart.experiment.config import Experiment, Transform


def check(experiment: "Experiment", where: str) -> None:
    """Check the rules that span several keys.

    Raises:
        ConfigError: in one line, the key that breaks a rule, its value and the rule.
    """

    def require(condition: bool, message: str) -> None:
        if not condition:
            raise ConfigError(f"{where}: {message}")

    weightless = experiment.backbone.weights == "none"
    for name, strategy in experiment.strategies.items():
        key = f"strategies.{name}"
        require(
            not (weightless and strategy.init == "pretrained"),
            f"{key}.init is 'pretrained', but backbone.weights is 'none'; "
            "name weights or set init to random",
        )
        require(
            strategy.init == "pretrained"
            or any(p.train not in ("head", "probe") for p in strategy.phases),
            f"{key}.phases train only the head of a random backbone; train all, "
            "or set init to pretrained",
        )
        require(
            len(strategy.phases) == 1 or all(p.train != "probe" for p in strategy.phases),
            f"{key}.phases mix a probe with other phases; give the probe a strategy of its own",
        )
        settings = strategy.training
        require(
            settings.gpus <= settings.batch_size,
            f"{key}.training.gpus is {settings.gpus}, but must be at most batch_size, "
            f"{settings.batch_size}, of which each GPU takes its share",
        )
        for index, phase in enumerate(strategy.phases):
            require(
                (phase.train == "last_k_stages") == (phase.stages is not None),
                f"{key}.phases[{index}].stages is {phase.stages!r}, but train is {phase.train!r}; "
                "stages belongs to last_k_stages, and only there",
            )
            require(
                phase.start_size is None
                or phase.start_size <= (experiment.image.size or phase.start_size),
                f"{key}.phases[{index}].start_size is {phase.start_size}, but must be at most "
                f"image.size, {experiment.image.size}",
            )
            peak = phase.lr * min(1.0, phase.head_lr_multiplier)
            require(
                phase.min_lr <= peak,
                f"{key}.phases[{index}].min_lr is {phase.min_lr}, but must be at most the peak "
                f"rate, {peak}",
            )
        require(
            not strategy.from_features or strategy.augmentation == experiment.augmentation,
            f"{key}.augmentation differs from the experiment's, but a strategy that trains only "
            "the head uses features made under the experiment's; leave it out",
        )
        _check_bounds(strategy.augmentation, f"{where}: {key}.augmentation")
    _check_bounds(experiment.augmentation, f"{where}: augmentation")


def _check_bounds(augmentation: "tuple[Transform, ...]", where: str) -> None:
    for index, transform in enumerate(augmentation):
        for name, value in transform.parameters:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ConfigError(
                    f"{where}[{index}].{name} is {list(value)}, but the lower bound comes first"
                )
