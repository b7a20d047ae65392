"""What the frozen backbone makes of every image, computed once."""


rule features:
    input:
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        code=code("features"),
    output:
        features=f"{RESULTS}/features/pooled.npy",
        meta=f"{RESULTS}/features/pooled.json",
        ids=f"{RESULTS}/features/ids.txt",
    log:
        f"{RESULTS}/logs/features.log",
    benchmark:
        f"{RESULTS}/benchmarks/features.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    params:
        augmentation=feature_augmentation(),
        precision=EXPERIMENT.training.precision,
        views=EXPERIMENT.features.views,
    message:
        "Extracting features of the frozen backbone"
    script:
        "../scripts/features.py"


rule stages:
    input:
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        code=code("stages"),
    output:
        stages=directory(f"{RESULTS}/features/stages"),
    log:
        f"{RESULTS}/logs/stages.log",
    benchmark:
        f"{RESULTS}/benchmarks/stages.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    params:
        precision=EXPERIMENT.training.precision,
    message:
        "Extracting features of every stage of the frozen backbone"
    script:
        "../scripts/stages.py"


rule prefix:
    input:
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
        code=code("prefix"),
    output:
        features=f"{RESULTS}/features/before_last_{{stages}}.npy",
        meta=f"{RESULTS}/features/before_last_{{stages}}.json",
    log:
        f"{RESULTS}/logs/prefix/{{stages}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prefix/{{stages}}.tsv"
    wildcard_constraints:
        stages=r"\d+",
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        gpu=GPU,
        mem_mb=pass_memory,
        runtime=pass_minutes,
    params:
        precision=EXPERIMENT.training.precision,
    message:
        "Computing what the last {wildcards.stages} stages receive"
    script:
        "../scripts/prefix.py"
