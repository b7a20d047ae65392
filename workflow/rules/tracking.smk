"""The MLflow store that training, evaluation and comparison log to."""


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
        uri=connection.uri(TRACKING),
    message:
        "Preparing the MLflow store"
    script:
        "../scripts/tracking_init.py"
