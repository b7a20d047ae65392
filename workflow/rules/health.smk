"""What makes the data too easy or doubtful, told beside the verdict."""

HEALTH = f"{RESULTS}/health"


rule health:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        split=f"{RESULTS}/split.csv",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        features=(
            f"{RESULTS}/features/pooled.npy"
            if EXPERIMENT.backbone.weights != "none"
            else []
        ),
        code=code("health"),
    output:
        shortcuts=f"{HEALTH}/shortcuts.json",
        suspects=report(
            f"{HEALTH}/suspects.csv",
            caption="../report/suspects.rst",
            category="Data",
            labels={"table": "suspicious labels"},
        ),
        copies=report(
            f"{HEALTH}/copies.csv",
            caption="../report/copies.rst",
            category="Data",
            labels={"table": "near copies"},
        ),
        shortcuts_figure=report(
            f"{HEALTH}/shortcuts.png",
            caption="../report/shortcuts.rst",
            category="Data",
            labels={"figure": "what gives the label away"},
        ),
        suspects_figure=report(
            f"{HEALTH}/suspects.png",
            caption="../report/suspects.rst",
            category="Data",
            labels={"figure": "suspicious labels"},
        ),
        copies_figure=report(
            f"{HEALTH}/copies.png",
            caption="../report/copies.rst",
            category="Data",
            labels={"figure": "near copies"},
        ),
    log:
        f"{RESULTS}/logs/health.log",
    benchmark:
        f"{RESULTS}/benchmarks/health.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=listed_minutes,
    message:
        "Looking for shortcuts, copies and suspicious labels"
    script:
        "../scripts/health.py"
