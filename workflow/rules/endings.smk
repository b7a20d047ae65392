"""What is done when a study ends."""

import atexit


def compare_what_there_is():
    """Under --keep-going, failed jobs leave a verdict of the others' runs."""
    interrupted = workflow.scheduler._user_kill  # Snakemake has no public word for it
    if workflow.execution_settings.keep_going and not interrupted:
        unmade = salvage.unmade(workflow.dag, workflow.scheduler.failed)
        snakefile, cores = workflow.main_snakefile, workflow.cores or 1
        if salvage.compare(unmade, RESULTS, snakefile, config, cores):
            print_verdict()


def end_as_failed():
    """Let the experiment's run in MLflow say so, if there is one."""
    try:
        store = tracking.read(Path(RESULTS, "tracking.json"))
        tracking.RunLog.open(store, store["parent_run_id"]).end("FAILED")
    except (FileNotFoundError, HeadstartError):
        return  # the job that failed has told why


def print_verdict():
    """Leave the verdict as the last thing on the terminal, below Snakemake's own last line."""
    from headstart.verdict import terminal

    if not Path(RESULTS, "comparison/verdict.json").exists():
        return  # only a part of the experiment was asked for
    atexit.register(print, terminal.closing_lines(Path(RESULTS)), file=sys.stderr)
