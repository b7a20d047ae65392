"""Further test sets, which nothing before the evaluation reads."""


use rule fetch as fetch_further with:
    output:
        source=f"{TEST}/source.csv",
        notes=f"{TEST}/source_notes.txt",
    log:
        f"{RESULTS}/logs/tests/{{test}}/fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/tests/{{test}}/fetch.tsv"
    params:
        dataset=test_settings,
        downloads="results/downloads",
        fingerprint=test_fingerprint,
        trains=False,
    message:
        "Listing the further test set {wildcards.test}"


rule admit:
    input:
        source=f"{TEST}/source.csv",
        source_notes=f"{TEST}/source_notes.txt",
        home=f"{RESULTS}/manifest.csv",
        classes=f"{RESULTS}/classes.json",
        code=code("admit"),
    output:
        manifest=f"{TEST}/manifest.csv",
        test=f"{TEST}/test.csv",
        notes=f"{TEST}/notes.txt",
    log:
        f"{RESULTS}/logs/tests/{{test}}/admit.log",
    benchmark:
        f"{RESULTS}/benchmarks/tests/{{test}}/admit.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=listed_minutes,
    params:
        metric=EXPERIMENT.verdict.metric,
    message:
        "Opening every image of {wildcards.test} once"
    script:
        "../scripts/admit.py"


use rule cache as cache_further with:
    input:
        manifest=f"{TEST}/manifest.csv",
        home=f"{RESULTS}/manifest.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        code=code("cache"),
    output:
        images=f"{TEST}/cache/images.bin",
        index=f"{TEST}/cache/index.csv",
    log:
        f"{RESULTS}/logs/tests/{{test}}/cache.log",
    benchmark:
        f"{RESULTS}/benchmarks/tests/{{test}}/cache.tsv"
    message:
        "Decoding every image of {wildcards.test} once"


rule evaluate_further:
    input:
        model=f"{RUN}/model.safetensors",
        run=f"{RUN}/run.json",
        backbone=f"{RESULTS}/backbone/config.json",
        home_metrics=f"{RUN}/metrics.json",
        home=f"{RESULTS}/manifest.csv",
        classes=f"{RESULTS}/classes.json",
        test=f"{TEST}/test.csv",
        images=f"{TEST}/cache/images.bin",
        index=f"{TEST}/cache/index.csv",
        code=code("evaluate_further"),
    output:
        predictions=f"{TEST_RUN}/predictions.parquet",
        metrics=f"{TEST_RUN}/metrics.json",
    log:
        f"{RESULTS}/logs/tests/{{test}}/{JOB}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tests/{{test}}/{JOB}.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    message:
        "Testing {wildcards.strategy} on {wildcards.test}: fraction {wildcards.fraction}, split {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate_further.py"


rule compare_further:
    input:
        runs=run_files("run.json", MODELS),
        metrics=test_runs("metrics.json"),
        predictions=test_runs("predictions.parquet"),
        manifest=f"{TEST}/manifest.csv",
        code=code("compare_further"),
    output:
        summary=f"{TEST}/summary.csv",
        verdict=f"{TEST}/verdict.json",
    log:
        f"{RESULTS}/logs/tests/{{test}}/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/tests/{{test}}/compare.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        metric=EXPERIMENT.verdict.metric,
        margin=EXPERIMENT.verdict.margin,
    message:
        "Comparing the strategies on {wildcards.test}"
    script:
        "../scripts/compare_further.py"
