"""What a job reads and depends on, by its wildcards."""


def split_settings(wildcards):
    """What decides one split: a fold among several, or a seed's own."""
    return experiments.plain(EXPERIMENT.split)


def strategy_settings(wildcards):
    return experiments.plain(EXPERIMENT.strategies[wildcards.strategy])


def head_settings(wildcards):
    return without_augmentation(EXPERIMENT.strategies[wildcards.strategy])


def without_augmentation(strategy):
    """Settings of a strategy on features: the augmentation already went into those."""
    settings = experiments.plain(strategy)
    return {key: value for key, value in settings.items() if key != "augmentation"}


def choice_file(wildcards):
    """What tuning chose for a training; a trial is itself what will be chosen from."""
    tuned = EXPERIMENT.tuning.trials and not hasattr(wildcards, "trial")
    return f"{TUNING}/choice.json" if tuned else []


def trial_settings(wildcards):
    trial = strategy_trials(wildcards.strategy)[int(wildcards.trial)]
    return (
        without_augmentation(trial) if trial.from_features else experiments.plain(trial)
    )


def strategy_trials(strategy):
    return tuning.trials(EXPERIMENT.strategies[strategy], EXPERIMENT.tuning.trials)


def trial_files(wildcards):
    """Trials with the first seed that trains on the split."""
    seed = next(seed for split, seed in REPLICATES if split == int(wildcards.split))
    numbers = range(len(strategy_trials(wildcards.strategy)))
    path = f"{TUNING}/seed-{{seed}}/trial-{{trial}}.json"
    return expand(path, seed=seed, trial=numbers, **wildcards)


def trial_place(wildcards):
    return {key: wildcards[key] for key in ("strategy", "fraction", "split")}


def part_of(role, name):
    """A file of the run, at the same place, whose model a mixture starts from or is of."""

    def path(wildcards):
        strategy = getattr(EXPERIMENT.derived[wildcards.strategy], role)
        return expand(f"{RUN}/{name}", **(dict(wildcards) | {"strategy": strategy}))[0]

    return path


def members(name):
    """A file of every run whose answers an ensemble averages."""

    def paths(wildcards):
        strategy, split = EXPERIMENT.derived[wildcards.strategy].of, int(
            wildcards.split
        )
        seeds = [seed for own, seed in REPLICATES if own == split]
        place = dict(wildcards) | {"strategy": strategy, "seed": seeds}
        return expand(f"{RUN}/{name}", **place)

    return paths


def source_fingerprint(wildcards):
    return sources.fingerprint(EXPERIMENT.dataset)


def test_settings(wildcards):
    return experiments.plain(EXPERIMENT.tests[wildcards.test])


def test_fingerprint(wildcards):
    return sources.fingerprint(EXPERIMENT.tests[wildcards.test])


def test_runs(name):
    """A file of every model that a further set is tested with, in the set's own folder."""
    return [f"{run.replace(RESULTS, TEST, 1)}/{name}" for run in MODELS]


def features_file(wildcards):
    return (
        f"{RESULTS}/features/{EXPERIMENT.strategies[wildcards.strategy].features}.npy"
    )


def features_meta(wildcards):
    return str(Path(features_file(wildcards)).with_suffix(".json"))


def probe_features(wildcards):
    """The features that a strategy's first phase is fitted on before the others see images."""
    strategy = EXPERIMENT.strategies[wildcards.strategy]
    return (
        f"{RESULTS}/features/pooled.npy"
        if strategy.starts_with_probe and not strategy.from_features
        else []
    )


def probe_features_meta(wildcards):
    features = probe_features(wildcards)
    return str(Path(features).with_suffix(".json")) if features else []


def tested_features(wildcards):
    """Features of the images that a strategy with a frozen backbone is tested on."""
    strategy = EXPERIMENT.strategies.get(wildcards.strategy)
    frozen = strategy is not None and strategy.from_features
    return f"{RESULTS}/features/test/{wildcards.split}.npy" if frozen else []


def tested_ids(wildcards):
    features = tested_features(wildcards)
    return str(Path(features).with_suffix(".txt")) if features else []


def feature_augmentation():
    """The plain view alone does not depend on the augmentation."""
    return (
        experiments.plain(EXPERIMENT.augmentation)
        if EXPERIMENT.features.views > 1
        else []
    )
