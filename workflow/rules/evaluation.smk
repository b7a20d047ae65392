"""The only readers of the test split."""


rule test_features:
    input:
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        train_val=f"{SPLIT}/train_val.csv",
        test=f"{SPLIT}/test.csv",
        code=code("test_features"),
    output:
        features=f"{RESULTS}/features/test/{{split}}.npy",
        ids=f"{RESULTS}/features/test/{{split}}.txt",
    log:
        f"{RESULTS}/logs/test_features/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/test_features/{{split}}.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    params:
        flips=experiments.plain(EXPERIMENT.evaluation.flips),
        precision=EXPERIMENT.training.precision,
    message:
        "Extracting the features that frozen backbones are tested on: split {wildcards.split}"
    script:
        "../scripts/test_features.py"


rule evaluate:
    input:
        model=f"{RUN}/model.safetensors",
        history=f"{RUN}/history.csv",
        run=f"{RUN}/run.json",
        backbone=f"{RESULTS}/backbone/config.json",
        train_val=f"{SPLIT}/train_val.csv",
        test=f"{SPLIT}/test.csv",
        features=tested_features,
        feature_ids=tested_ids,
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("evaluate"),
    output:
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.json",
        confusion=report(
            f"{RUN}/figures/confusion.png",
            caption="../report/confusion.rst",
            category="Runs",
            labels=run_labels("confusion"),
        ),
        reliability=report(
            f"{RUN}/figures/reliability.png",
            caption="../report/reliability.rst",
            category="Runs",
            labels=run_labels("reliability"),
        ),
        mistakes=report(
            f"{RUN}/figures/mistakes.png",
            caption="../report/mistakes.rst",
            category="Runs",
            labels=run_labels("worst mistakes"),
        ),
        curves=report(
            f"{RUN}/figures/curves.png",
            caption="../report/curves.rst",
            category="Runs",
            labels=run_labels("curves"),
        ),
    log:
        f"{RESULTS}/logs/evaluate/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{JOB}.tsv"
    wildcard_constraints:
        strategy="|".join([*EXPERIMENT.strategies, *EXPERIMENT.derived_by("wise_ft")]),
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    params:
        flips=experiments.plain(EXPERIMENT.evaluation.flips),
    message:
        "Testing {wildcards.strategy}: fraction {wildcards.fraction}, split {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate.py"
