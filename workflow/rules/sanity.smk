"""Pictures of what training will see."""

from headstart.report.sanity import GALLERIES


rule sanity:
    input:
        manifest=f"{RESULTS}/manifest.csv",
        train_val=f"{RESULTS}/splits/{SPLITS[0]}/train_val.csv",
        test=f"{RESULTS}/splits/{SPLITS[0]}/test.csv",
        images=f"{RESULTS}/cache/images.bin",
        index=f"{RESULTS}/cache/index.csv",
        backbone=f"{RESULTS}/backbone/config.json",
        code=code("sanity"),
    output:
        galleries=report(
            expand(f"{RESULTS}/sanity/gallery_{{gallery}}.png", gallery=GALLERIES),
            caption="../report/gallery.rst",
            category="Sanity",
            subcategory="Augmentation",
        ),
        class_grid=report(
            f"{RESULTS}/sanity/class_grid.png",
            caption="../report/class_grid.rst",
            category="Sanity",
            labels={"figure": "samples of each class"},
        ),
        ends=report(
            f"{RESULTS}/sanity/ends.png",
            caption="../report/class_grid.rst",
            category="Sanity",
            labels={"figure": "first and last training images"},
        ),
        batch=report(
            f"{RESULTS}/sanity/batch.png",
            caption="../report/batch.rst",
            category="Sanity",
            labels={"figure": "a training batch"},
        ),
        class_counts=report(
            f"{RESULTS}/sanity/class_counts.png",
            caption="../report/class_counts.rst",
            category="Sanity",
            labels={"figure": "class counts"},
        ),
        image_sizes=report(
            f"{RESULTS}/sanity/image_sizes.png",
            caption="../report/image_sizes.rst",
            category="Sanity",
            labels={"figure": "image sizes"},
        ),
    log:
        f"{RESULTS}/logs/sanity.log",
    benchmark:
        f"{RESULTS}/benchmarks/sanity.tsv"
    conda:
        "../../envs/headstart.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        augmentation=experiments.plain(EXPERIMENT.augmentation),
    message:
        "Drawing augmentations, samples and class balance"
    script:
        "../scripts/sanity.py"
