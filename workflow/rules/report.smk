"""The report, and what its pictures show."""

PAGE = f"{WORKFLOW}/headstart/report/page"
#: The run of each strategy whose mistakes the report shows.
SHOWN = [
    RUN.format(
        strategy=strategy,
        fraction=max(EXPERIMENT.fractions),
        split=REPLICATES[0][0],
        seed=REPLICATES[0][1],
    )
    for strategy in [*EXPERIMENT.strategies, *EXPERIMENT.derived_by("wise_ft")]
]
SHOWN = [run for run in SHOWN if run in RUNS]


rule evidence:
    input:
        models=run_files("model.safetensors", SHOWN),
        runs=run_files("run.json", SHOWN),
        metrics=run_files("metrics.json", SHOWN),
        predictions=run_files("predictions.parquet", SHOWN),
        manifest=f"{RESULTS}/manifest.csv",
        classes=f"{RESULTS}/classes.json",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        code=code("evidence"),
    output:
        evidence=run_files("evidence.npz", SHOWN),
    log:
        f"{RESULTS}/logs/evidence.log",
    benchmark:
        f"{RESULTS}/benchmarks/evidence.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Finding what the models looked at in their worst mistakes"
    script:
        "../scripts/evidence.py"


rule report:
    input:
        runs=f"{RESULTS}/comparison/runs.csv",
        summary=f"{RESULTS}/comparison/summary.csv",
        verdict=f"{RESULTS}/comparison/verdict.json",
        sanity=[
            f"{RESULTS}/sanity/class_counts.png",
            f"{RESULTS}/sanity/image_sizes.png",
            f"{RESULTS}/sanity/class_grid.png",
            f"{RESULTS}/sanity/ends.png",
            f"{RESULTS}/sanity/batch.png",
            *expand(f"{RESULTS}/sanity/gallery_{{gallery}}.png", gallery=GALLERIES),
        ],
        suspects=f"{HEALTH}/suspects.csv",
        copies=f"{HEALTH}/copies.csv",
        choices=CHOICES,
        tests=[f"{test}/verdict.json" for test in TESTS],
        test_notes=[f"{test}/notes.txt" for test in TESTS],
        run_records=run_files("run.json"),
        metrics=run_files("metrics.json"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv", MODELS),
        evidence=run_files("evidence.npz", SHOWN),
        manifest=f"{RESULTS}/manifest.csv",
        split=f"{RESULTS}/split.csv",
        notes=f"{RESULTS}/notes.txt",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("report"),
        page=expand(
            f"{PAGE}/{{part}}",
            part=["report.html.j2", "macros.html.j2", "style.css", "report.js"],
        ),
    output:
        report=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Comparison",
            labels={"figure": "the whole report"},
        ),
        tables=directory(f"{RESULTS}/tables"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        experiment=experiments.plain(EXPERIMENT),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
