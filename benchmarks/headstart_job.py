"""headstart's small job as a process of its own: the train script's work for one run.

Arguments: a file with the pickled arguments of `runs.train`, and the file for the step's seconds.
"""

import pickle
import sys
from pathlib import Path

from headstart import logs
from headstart.compute import leases
from headstart.training import runs


def main(arguments: Path, output: Path) -> None:
    with logs.job(output.with_suffix(".log")), leases.lease(0):
        from step_timer import StepTimer

        timer = StepTimer()
        runs.train(*pickle.loads(arguments.read_bytes()))
        output.write_text(str(timer.seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
