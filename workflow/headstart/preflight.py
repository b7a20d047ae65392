"""What can be known to fail before any job starts, checked without importing torch."""

import pandas as pd

from headstart import HeadstartError, backbones, weights
from headstart.config import ConfigError, Experiment
from headstart.data import sources, splits


def check(experiment: Experiment, where: str) -> pd.DataFrame:
    """Check the backbone's name, its weights and the images behind an experiment.

    Returns:
        The source's images: columns id, path, label, split.

    Raises:
        ConfigError: one line, led by the configuration file.
    """
    try:
        backbones.require_known(experiment.backbone)
        weights.require_available(experiment.backbone)
        listing = sources.list_images(experiment.dataset)
        splits.split(listing.assign(sha256=listing.id, status="ok"), experiment.split)
    except ConfigError:
        raise
    except HeadstartError as error:
        raise ConfigError(f"{where}: {error}") from None
    return listing
