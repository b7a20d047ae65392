"""Strategies made from the models of others."""


rule mix:
    input:
        start_model=part_of("start", "model.safetensors"),
        start_run=part_of("start", "run.json"),
        end_model=part_of("of", "model.safetensors"),
        end_run=part_of("of", "run.json"),
        backbone=f"{RESULTS}/backbone/config.json",
        train_val=f"{SPLIT}/train_val.csv",
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("mix"),
    output:
        model=f"{RUN}/model.safetensors",
        history=f"{RUN}/history.csv",
        run=f"{RUN}/run.json",
    log:
        f"{RESULTS}/logs/mix/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/mix/{JOB}.tsv"
    wildcard_constraints:
        strategy=derived_by("wise_ft"),
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        experiment=EXPERIMENT.experiment,
    message:
        "Mixing weights: {wildcards.strategy}, fraction {wildcards.fraction}, split {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/mix.py"


rule ensemble:
    input:
        member_runs=members("run.json"),
        member_predictions=members("predictions.parquet"),
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("ensemble"),
    output:
        run=f"{RUN}/run.json",
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.json",
        confusion=f"{RUN}/figures/confusion.png",
        reliability=f"{RUN}/figures/reliability.png",
        mistakes=f"{RUN}/figures/mistakes.png",
    log:
        f"{RESULTS}/logs/ensemble/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble/{JOB}.tsv"
    wildcard_constraints:
        strategy=derived_by("ensemble"),
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        experiment=EXPERIMENT.experiment,
    message:
        "Testing the ensemble {wildcards.strategy}: fraction {wildcards.fraction}, split {wildcards.split}"
    script:
        "../scripts/ensemble.py"
