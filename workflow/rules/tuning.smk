"""The same number of trials for every strategy, judged on validation within each split.

A trial reads what a training reads, and so never a test image.
"""

TRIAL = "{strategy}_fraction-{fraction}_split-{split}_seed-{seed}_trial-{trial}"


use rule train_from_features as try_from_features with:
    output:
        trial=f"{TUNING}/seed-{{seed}}/trial-{{trial}}.json",
    log:
        f"{RESULTS}/logs/tune/{TRIAL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune/{TRIAL}.tsv"
    params:
        experiment=EXPERIMENT.experiment,
        resume=f"{RESULTS}/resume/{TRIAL}.pt",
        settings=trial_settings,
    message:
        "Trying {wildcards.strategy} on features: fraction {wildcards.fraction}, split {wildcards.split}, trial {wildcards.trial}"


use rule train_from_images as try_from_images with:
    output:
        trial=f"{TUNING}/seed-{{seed}}/trial-{{trial}}.json",
    log:
        f"{RESULTS}/logs/tune/{TRIAL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune/{TRIAL}.tsv"
    params:
        experiment=EXPERIMENT.experiment,
        resume=f"{RESULTS}/resume/{TRIAL}.pt",
        settings=trial_settings,
    message:
        "Trying {wildcards.strategy} on images: fraction {wildcards.fraction}, split {wildcards.split}, trial {wildcards.trial}"


rule choose:
    input:
        trials=trial_files,
        tracking=ancient(f"{RESULTS}/tracking.json"),
        code=code("choose"),
    output:
        choice=f"{TUNING}/choice.json",
    log:
        f"{RESULTS}/logs/choose/{{strategy}}_fraction-{{fraction}}_split-{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/choose/{{strategy}}_fraction-{{fraction}}_split-{{split}}.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        place=trial_place,
    message:
        "Choosing the trial of {wildcards.strategy} that validates best: fraction {wildcards.fraction}, split {wildcards.split}"
    script:
        "../scripts/choose.py"
