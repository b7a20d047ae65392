"""What can be known to fail before any job starts, checked without importing torch."""

from typing import TYPE_CHECKING

from headstart import HeadstartError
from headstart.experiment.config import Experiment
from headstart.experiment.lines import Origin
from headstart.experiment.schema import ConfigError
from headstart.models import registry, weights

if TYPE_CHECKING:
    import pandas as pd


def check(experiment: Experiment, origin: Origin) -> "pd.DataFrame | None":
    """Check the backbone's name, its weights and the images behind an experiment.

    Args:
        origin: where the experiment was read from, to name in an error.

    Returns:
        The source's images: columns id, path, label, split. None where they are in an archive,
        which is fetched and listed by the first job; its address is checked as far as that
        goes without a network.

    Raises:
        ConfigError: one line, led by the configuration file and the line of the key.
    """
    from headstart.data import sources, splits

    try:
        registry.require_known(experiment.backbone)
        weights.require_available(experiment.backbone)
        if not sources.is_local(experiment.dataset):
            sources.check_address(experiment.dataset)
            return None
        listing = sources.list_images(experiment.dataset)
        splits.split(listing.assign(sha256=listing.id, status="ok"), experiment.split)
    except HeadstartError as error:
        raise ConfigError(origin.located(str(error))) from None
    return listing
