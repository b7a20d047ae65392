# Entry point: `snakemake --cores 4 --resources gpu=2` in this folder.
include: "workflow/Snakefile"


workflow.default_target = "all"
