"""What jobs ask for: bounds on one machine, requests on a cluster. Figures: compute/requests.py.

A job that fails is asked for again with twice the memory and time, where the profile has retries.
"""

import json

from headstart.compute import requests

GPU_LIMIT = (
    workflow.global_resources["gpu"].value
    if "gpu" in workflow.global_resources
    else None
)
# What inner processes lack here, they are told by their job's limits and by the environment.
NODES = requests.slurm_nodes() if SUBMITS else requests.Nodes()
GPU = int(NODES.gpus)
THREADS = (
    requests.shared_threads(NODES.cpus, 1)
    if SUBMITS
    else requests.shared_threads(workflow.resource_settings.cores, GPU_LIMIT)
)


def growing(amount):
    """A request that doubles with every attempt."""

    def request(wildcards, attempt):
        return amount * 2 ** (attempt - 1)

    return request


def training_gpus(wildcards):
    return GPU * EXPERIMENT.strategies[wildcards.strategy].training.gpus


def training_threads(wildcards):
    """Each of a training's GPUs has a process that feeds it."""
    return THREADS * EXPERIMENT.strategies[wildcards.strategy].training.gpus


def feature_threads(wildcards):
    """A head needs no second thread."""
    head_alone = EXPERIMENT.strategies[wildcards.strategy].from_features
    return 1 if head_alone else training_threads(wildcards)


def training_memory(wildcards, input, attempt):
    processes = EXPERIMENT.strategies[wildcards.strategy].training.gpus
    return processes * requests.memory_mb(training_work(wildcards, input), attempt)


def training_minutes(wildcards, input, attempt):
    work = training_work(wildcards, input)
    gpus, threads = training_gpus(wildcards), training_threads(wildcards)
    return requests.minutes(work, gpus, threads, attempt)


def training_work(wildcards, input):
    strategy = EXPERIMENT.strategies[wildcards.strategy]
    pixels = cached_pixels(input) * float(wildcards.fraction)
    return requests.training(strategy, seen_size(input), pixels, weights_mb(input))


def pass_memory(wildcards, input, attempt):
    return requests.memory_mb(pass_work(input), attempt)


def pass_minutes(wildcards, input, attempt):
    return requests.minutes(pass_work(input), GPU, 1, attempt)


def pass_work(input):
    """Every view of every image seen once by the network."""
    pixels = cached_pixels(input) * EXPERIMENT.features.views
    batch = requests.PASS_BATCH * seen_size(input) ** 2
    return requests.Work(pixels, batch, weights_mb(input), passes=1)


def listed_minutes(wildcards, input, attempt):
    """Time to open every image that a table, the first input, lists."""
    return requests.decoding_minutes(os.path.getsize(input[0]), attempt)


def cached_pixels(input):
    return os.path.getsize(input.images) / 3


def weights_mb(input):
    return described(input)["parameters"] * 4e-6


def seen_size(input):
    """Side of the square that the network sees."""
    return described(input)["image"]["size"]


def described(input):
    """The backbone; of a model that a group's earlier job has yet to train, this much is known."""
    with open(input.backbone, encoding="utf-8") as file:
        return json.load(file)
