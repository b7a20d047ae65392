"""The verdict, with its tables and figures."""

LEARNING_CURVE = ["learning_curve"] if len(EXPERIMENT.fractions) > 1 else []


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
            expand(f"{RESULTS}/comparison/{{figure}}.png", figure=LEARNING_CURVE),
            caption="../report/learning_curve.rst",
            category="Comparison",
            labels={"figure": "learning curve"},
        ),
        drawings=expand(
            f"{RESULTS}/comparison/{{figure}}.svg",
            figure=[
                "accuracy",
                "training_curves",
                "cost",
                "differences",
                *LEARNING_CURVE,
            ],
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
        missing=MISSING,
    message:
        "Comparing the strategies"
    script:
        "../scripts/compare.py"
