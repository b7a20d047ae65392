"""The verdict and the report it stands in."""

LEARNING_CURVE = (
    [f"{RESULTS}/comparison/learning_curve.png"]
    if len(EXPERIMENT.fractions) > 1
    else []
)


rule compare:
    input:
        runs=run_files("run.json"),
        metrics=run_files("metrics.json"),
        predictions=run_files("predictions.parquet"),
        histories=run_files("history.csv", MODELS),
        manifest=f"{RESULTS}/manifest.csv",
        shortcuts=f"{RESULTS}/health/shortcuts.json",
        tests=[f"{test}/verdict.json" for test in TESTS],
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("compare"),
    output:
        runs=report(
            f"{RESULTS}/comparison/runs.csv",
            caption="../report/runs_table.rst",
            category="Comparison",
            labels={"table": "one row per run"},
        ),
        summary=report(
            f"{RESULTS}/comparison/summary.csv",
            caption="../report/summary_table.rst",
            category="Comparison",
            labels={"table": "one row per strategy"},
        ),
        verdict=f"{RESULTS}/comparison/verdict.json",
        accuracy=report(
            f"{RESULTS}/comparison/accuracy.png",
            caption="../report/accuracy.rst",
            category="Comparison",
            labels={"figure": "accuracy by strategy"},
        ),
        curves=report(
            f"{RESULTS}/comparison/training_curves.png",
            caption="../report/training_curves.rst",
            category="Comparison",
            labels={"figure": "validation curves"},
        ),
        cost=report(
            f"{RESULTS}/comparison/cost.png",
            caption="../report/cost.rst",
            category="Comparison",
            labels={"figure": "cost against accuracy"},
        ),
        differences=report(
            f"{RESULTS}/comparison/differences.png",
            caption="../report/differences.rst",
            category="Comparison",
            labels={"figure": "pairwise differences"},
        ),
        learning_curve=report(
            LEARNING_CURVE,
            caption="../report/learning_curve.rst",
            category="Comparison",
            labels={"figure": "learning curve"},
        ),
    log:
        f"{RESULTS}/logs/compare.log",
    benchmark:
        f"{RESULTS}/benchmarks/compare.tsv"
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
        "Comparing the strategies"
    script:
        "../scripts/compare.py"


rule report:
    input:
        runs=f"{RESULTS}/comparison/runs.csv",
        summary=f"{RESULTS}/comparison/summary.csv",
        verdict=f"{RESULTS}/comparison/verdict.json",
        comparison=[
            f"{RESULTS}/comparison/accuracy.png",
            f"{RESULTS}/comparison/differences.png",
            f"{RESULTS}/comparison/cost.png",
            f"{RESULTS}/comparison/training_curves.png",
            *LEARNING_CURVE,
        ],
        sanity=[
            f"{RESULTS}/sanity/class_counts.png",
            f"{RESULTS}/sanity/image_sizes.png",
            f"{RESULTS}/sanity/class_grid.png",
            f"{RESULTS}/sanity/ends.png",
            f"{RESULTS}/sanity/batch.png",
            *expand(f"{RESULTS}/sanity/gallery_{{gallery}}.png", gallery=GALLERIES),
        ],
        health=expand(
            f"{HEALTH}/{{figure}}.png", figure=["shortcuts", "suspects", "copies"]
        ),
        choices=CHOICES,
        tests=[f"{test}/verdict.json" for test in TESTS],
        test_notes=[f"{test}/notes.txt" for test in TESTS],
        run_records=run_files("run.json"),
        metrics=run_files("metrics.json"),
        run_figures=expand(
            "{run}/figures/{figure}.png",
            run=RUNS,
            figure=["confusion", "reliability", "mistakes"],
        ),
        run_curves=run_files("figures/curves.png", MODELS),
        manifest=f"{RESULTS}/manifest.csv",
        split=f"{RESULTS}/split.csv",
        notes=f"{RESULTS}/notes.txt",
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("report"),
        template=f"{WORKFLOW}/headstart/report/template.html.j2",
    output:
        report=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Comparison",
            labels={"figure": "the whole report"},
        ),
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
