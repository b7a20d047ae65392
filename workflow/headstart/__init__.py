"""headstart: what does a head start buy on your images?

The library behind the workflow. It knows nothing of Snakemake: every function takes
plain arguments and paths, so that a script, a notebook or a test can call it.
"""

import re

__version__ = "0.1.0"

_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """Text without what would break a line or could not be written, as names of files may hold."""
    return _NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


class HeadstartError(Exception):
    """A mistake the user can mend. Its text is one line: what, where, and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))
