"""What is done when a study ends."""

import atexit
import subprocess


def compare_what_there_is():
    """Under --keep-going, failed jobs leave a verdict of the others' runs."""
    interrupted = workflow.scheduler._user_kill  # Snakemake has no public word for it
    if workflow.execution_settings.keep_going and not interrupted:
        unmade = salvage.unmade(workflow.dag, workflow.scheduler.failed)
        snakefile, cores = workflow.main_snakefile, workflow.cores or 1
        if salvage.compare(unmade, Path(RESULTS), snakefile, config, cores):
            print_verdict()


def end_as_failed():
    """Let the experiment's run in MLflow say so, if there is one."""
    known = Path(RESULTS, "tracking.json")
    if known.exists():
        with outages.spared(known):
            store = connection.reach(known)
            RunLog.open(store, store["parent_run_id"]).end("FAILED")


def print_verdict():
    """Leave the verdict as the last thing on the terminal, below Snakemake's own last line."""
    from headstart.verdict import terminal

    if not Path(RESULTS, "comparison/verdict.json").exists():
        return  # only a part of the experiment was asked for
    atexit.register(print, terminal.closing_lines(Path(RESULTS)), file=sys.stderr)


def complete_index():
    """Give MLflow what it did not take while its server was away."""
    if not outages.mark(Path(RESULTS, "tracking.json")).exists():
        return
    command = [sys.executable, "-m", "headstart.cli", "index", "--experiment"]
    done = subprocess.run(
        [*command, EXPERIMENT.experiment], capture_output=True, text=True
    )
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    for line in said[-1:]:
        print(f"headstart index: {line}", file=sys.stderr)


@atexit.register
def complete_index_of_the_finished():
    """Snakemake calls no hook where there is nothing to do."""
    planned = workflow.executor_plugin and workflow.dag is not None
    if workflow.is_main_process and planned and not workflow.dryrun:
        if not len(workflow.dag):
            complete_index()
