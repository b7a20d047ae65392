"""From the source to a frozen split and decoded images."""


rule fetch:
    input:
        code=code("fetch"),
    output:
        source=f"{RESULTS}/source.csv",
        notes=f"{RESULTS}/source_notes.txt",
    log:
        f"{RESULTS}/logs/fetch.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch.tsv"
    retries: 2
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        dataset=experiments.plain(EXPERIMENT.dataset),
        downloads="results/downloads",
        fingerprint=source_fingerprint,
        trains=True,
    message:
        "Listing the images of the source"
    script:
        "../scripts/fetch.py"


rule manifest:
    input:
        source=f"{RESULTS}/source.csv",
        code=code("manifest"),
    output:
        manifest=f"{RESULTS}/manifest.csv",
        classes=f"{RESULTS}/classes.json",
    log:
        f"{RESULTS}/logs/manifest.log",
    benchmark:
        f"{RESULTS}/benchmarks/manifest.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=listed_minutes,
    message:
        "Opening every image once"
    script:
        "../scripts/manifest.py"


rule split:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        code=code("split"),
    output:
        train_val=f"{SPLIT}/train_val.csv",
        test=f"{SPLIT}/test.csv",
        notes=f"{SPLIT}/notes.txt",
    log:
        f"{RESULTS}/logs/split/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/split/{{split}}.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        split=split_settings,
    message:
        "Dividing the images into train, val and test: split {wildcards.split}"
    script:
        "../scripts/split.py"


rule freeze:
    input:
        train_val=expand(f"{SPLIT}/train_val.csv", split=SPLITS),
        test=expand(f"{SPLIT}/test.csv", split=SPLITS),
        split_notes=expand(f"{SPLIT}/notes.txt", split=SPLITS),
        source_notes=f"{RESULTS}/source_notes.txt",
        manifest=f"{RESULTS}/manifest.csv",
        code=code("freeze"),
    output:
        split=f"{RESULTS}/split.csv",
        notes=f"{RESULTS}/notes.txt",
    log:
        f"{RESULTS}/logs/freeze.log",
    benchmark:
        f"{RESULTS}/benchmarks/freeze.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Writing down who is in train, val and test"
    script:
        "../scripts/freeze.py"


rule cache:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        code=code("cache"),
    output:
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
    log:
        f"{RESULTS}/logs/cache.log",
    benchmark:
        f"{RESULTS}/benchmarks/cache.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=listed_minutes,
    message:
        "Decoding every image once"
    script:
        "../scripts/cache.py"
