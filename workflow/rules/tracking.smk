"""The MLflow store that training, evaluation and comparison log to."""

import subprocess


rule tracking_init:
    input:
        code=code("tracking_init"),
    output:
        tracking=f"{RESULTS}/tracking.json",
    log:
        f"{RESULTS}/logs/tracking_init.log",
    benchmark:
        f"{RESULTS}/benchmarks/tracking_init.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        experiment=EXPERIMENT.experiment,
        folder=str(TRACKING),
        uri=tracking.uri(TRACKING),
    message:
        "Preparing the MLflow store"
    script:
        "../scripts/tracking_init.py"


def complete_index():
    """Give MLflow what it did not take while its server was away."""
    if not outages.mark(Path(RESULTS, "tracking.json")).exists():
        return
    command = [sys.executable, "-m", "headstart.cli", "index", "--experiment"]
    done = subprocess.run(
        [*command, EXPERIMENT.experiment], capture_output=True, text=True
    )
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    print(f"headstart index: {said[-1]}", file=sys.stderr)


@atexit.register
def complete_index_of_the_finished():
    """Snakemake calls no hook where there is nothing to do."""
    planned = workflow.executor_plugin and workflow.dag is not None
    if workflow.is_main_process and planned and not workflow.dryrun:
        if not len(workflow.dag):
            complete_index()
