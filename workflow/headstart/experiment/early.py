"""The experiment file, checked before Snakemake reads it, which would hang or not name the line."""

import argparse
import sys
from collections.abc import Sequence

from headstart import HeadstartError
from headstart.experiment import loading

_DEFAULT = "config/config.yaml"


def check(arguments: Sequence[str]) -> None:
    """End the process in one line where an experiment file of Snakemake's cannot be read.

    Args:
        arguments: Snakemake's own.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    files = parser.parse_known_args(arguments)[0].configfile or [_DEFAULT]
    try:
        for file in files:
            loading.written(file)
    except HeadstartError as error:
        sys.exit(f"error: {error}")
