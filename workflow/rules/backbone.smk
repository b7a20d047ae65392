"""The network body that every strategy starts from."""


rule backbone:
    input:
        code=code("backbone"),
    output:
        config=f"{RESULTS}/backbone/config.json",
        weights=f"{RESULTS}/backbone/weights.safetensors",
    log:
        f"{RESULTS}/logs/backbone.log",
    benchmark:
        f"{RESULTS}/benchmarks/backbone.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        backbone=experiments.plain(EXPERIMENT.backbone),
        image=experiments.plain(EXPERIMENT.image),
    message:
        "Resolving the backbone, its weights and its preprocessing"
    script:
        "../scripts/backbone.py"
