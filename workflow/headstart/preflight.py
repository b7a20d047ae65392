"""What can be known to fail before any job starts, checked without importing torch if possible."""

from typing import TYPE_CHECKING

from headstart import HeadstartError
from headstart.experiment.config import Experiment
from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError
from headstart.models import backbones, registry, weights

if TYPE_CHECKING:
    from headstart.data.surveys import Survey


def check(experiment: Experiment, origin: Origin) -> "Survey | None":
    """Check the backbone's name, its weights and stages, the images behind an experiment, and the
    further ones that it is tested on.

    Args:
        origin: where the experiment was read from, to name in an error.

    Returns:
        The source's images, and what their owner should know of them. None where they are in an
        archive, which is fetched and listed by the first job; its address is checked as far as
        that goes without a network.

    Raises:
        ConfigError: one line, led by the configuration file and the line of the key.
    """
    from headstart.data import sources, splits

    try:
        registry.require_known(experiment.backbone)
        weights.require_available(experiment.backbone)
        backbones.require_stages(experiment)
        survey = None
        if sources.is_local(experiment.dataset):
            survey = sources.survey(experiment.dataset)
            listed = survey.table.assign(sha256=survey.table["id"], status="ok")
            splits.split(listed, experiment.split)
        else:
            sources.check_address(experiment.dataset)
        _check_tests(experiment, survey)
    except HeadstartError as error:
        raise ConfigError(origin.located(str(error))) from None
    return survey


def _check_tests(experiment: Experiment, home: "Survey | None") -> None:
    """Check that every further test set is there and, where the classes are known, has no other."""
    from headstart.data import further

    for name, dataset in experiment.tests.items():
        labels = set(further.survey(name, dataset).table["label"])
        if home:
            classes = set(home.table["label"])
            further.require_classes(name, labels, classes, experiment.verdict.metric)
