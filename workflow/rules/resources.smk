"""What a training may use of the machine."""


def training_gpus(wildcards):
    return EXPERIMENT.strategies[wildcards.strategy].training.gpus


def training_memory(wildcards):
    return 4000 * training_gpus(wildcards)


def training_threads(wildcards):
    """An equal share of the cores for every training that can run at once, 1 to 8 for a GPU.

    Two trainings on a core each finish sooner than one after the other on two.
    """
    gpus = training_gpus(wildcards)
    at_once = sum(not s.from_features for s in EXPERIMENT.strategies.values())
    at_once *= len(EXPERIMENT.fractions) * len(REPLICATES)
    limit = (
        workflow.global_resources["gpu"].value
        if "gpu" in workflow.global_resources
        else None
    )
    if limit:
        at_once = min(at_once, max(1, limit // gpus))
    cores = workflow.resource_settings.cores or 8 * gpus
    return max(1, min(8 * gpus, cores // max(1, at_once)))


def feature_threads(wildcards):
    """A head needs no second thread."""
    head_alone = EXPERIMENT.strategies[wildcards.strategy].from_features
    return 1 if head_alone else training_threads(wildcards)
