"""headstart: what does a head start buy on your images?

The library behind the workflow. It knows nothing of Snakemake: every function takes
plain arguments and paths, so that a script, a notebook or a test can call it.
"""

__version__ = "0.1.0"


class HeadstartError(Exception):
    """A mistake the user can mend. Its text is one line: what, where, and what to do."""
