"""One training per strategy, fraction, split and seed.

No rule here has the test split among its inputs. A training leaves its resume state in
resume/, which Snakemake does not know of and so does not clear when a job dies.
"""


rule train_from_features:
    input:
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        train_val=f"{SPLIT}/train_val.csv",
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        features=features_file,
        features_meta=features_meta,
        choice=choice_file,
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("train"),
    output:
        model=f"{RUN}/model.safetensors",
        history=f"{RUN}/history.csv",
        run=f"{RUN}/run.json",
    log:
        f"{RESULTS}/logs/train/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{JOB}.tsv"
    wildcard_constraints:
        strategy=strategies_from(features=True),
    conda:
        "../../envs/headstart.yaml"
    threads: feature_threads
    resources:
        gpu=GPU,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        experiment=EXPERIMENT.experiment,
        resume=f"{RESULTS}/resume/{JOB}.pt",
        settings=head_settings,
    message:
        "Training {wildcards.strategy} on features: fraction {wildcards.fraction}, split {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"


rule train_from_images:
    input:
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        train_val=f"{SPLIT}/train_val.csv",
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        probe_features=probe_features,
        features_meta=probe_features_meta,
        choice=choice_file,
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("train"),
    output:
        model=f"{RUN}/model.safetensors",
        history=f"{RUN}/history.csv",
        run=f"{RUN}/run.json",
    log:
        f"{RESULTS}/logs/train/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{JOB}.tsv"
    wildcard_constraints:
        strategy=strategies_from(features=False),
    conda:
        "../../envs/headstart.yaml"
    threads: training_threads
    resources:
        gpu=training_gpus,
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        experiment=EXPERIMENT.experiment,
        resume=f"{RESULTS}/resume/{JOB}.pt",
        settings=strategy_settings,
    message:
        "Training {wildcards.strategy} on images: fraction {wildcards.fraction}, split {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"
