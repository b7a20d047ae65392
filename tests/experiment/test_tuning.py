"""The grid of each strategy: as many trials for every one, the written setting first."""

import pytest

from headstart.experiment import loading, tuning

NAMES = ["head_only", "probe", "full", "lp_ft", "last_stages", "scratch"]


@pytest.fixture(scope="module")
def strategies():
    raw = {"experiment": "mine", "dataset": {"source": "folder", "path": "photos"}}
    return loading.from_dict(raw | {"strategies": NAMES}).strategies


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 4, 12])
def test_every_strategy_gets_as_many_different_trials(strategies, name, count):
    trials = tuning.trials(strategies[name], count)
    settings = [tuple(tuning.tried(trial).items()) for trial in trials]
    assert len(settings) == count == len(set(settings))
    assert trials == tuning.trials(strategies[name], 12)[:count], "more trials keep the first ones"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "probe"])
def test_the_first_trial_is_the_strategy_as_written(strategies, name):
    assert tuning.trials(strategies[name], 3)[0] == strategies[name]


def test_rates_are_half_decades_and_statistics_follow(strategies):
    tried = [tuning.tried(trial) for trial in tuning.trials(strategies["full"], 6)]
    assert [setting["lr"] for setting in tried] == pytest.approx(
        [3e-4, 9.6e-5, 9.6e-4, 3e-4, 3e-3, 9.6e-4]
    )
    assert [setting["norm"] for setting in tried] == [*["frozen"] * 3, "batch", "frozen", "batch"]
    scratch = tuning.trials(strategies["scratch"], 6)
    assert all(phase.norm == "batch" for trial in scratch for phase in trial.phases)


def test_nothing_but_rates_and_statistics_moves(strategies):
    for trial in tuning.trials(strategies["lp_ft"], 12):
        probe, phase = trial.phases
        assert probe == strategies["lp_ft"].phases[0]
        written = strategies["lp_ft"].phases[1]
        assert (phase.epochs, phase.steps) == (written.epochs, written.steps)
        assert phase.head_lr_multiplier == written.head_lr_multiplier


def test_a_probe_tries_strengths(strategies):
    trials = tuning.trials(strategies["probe"], 3)
    assert [trial.phases[0].strength for trial in trials] == [0.1, 1.0, 0.01]
    assert all(trial.phases[0].strengths == 1 for trial in trials)


def test_the_written_setting_stays_unless_another_is_clearly_better():
    written = [1.1, 1.5, 0.7, 1.1]
    assert tuning.chosen([written, [1.0] * 4]) == 0, "0.1 above, of standard error 0.14"
    assert tuning.chosen([written, [1.0, 1.4, 0.6, 1.0]]) == 1, "0.1 above in every pair"


def test_within_a_standard_error_of_the_best_the_first_tried_is_chosen():
    assert tuning.chosen([[5.0, 5.0], [1.0, 2.0], [2.0, 0.9]]) == 1
    assert tuning.chosen([[0.3, 0.2]]) == 0


def test_a_best_on_the_edge_is_told():
    tried = [{"lr": 0.1, "norm": "frozen"}, {"lr": 0.3, "norm": "frozen"}, {"lr": 0.03}]
    assert tuning.on_edge(tried, 1) == "lr" == tuning.on_edge(tried, 2)
    assert tuning.on_edge(tried, 0) == ""
    assert tuning.on_edge([{"lr": 0.1}], 0) == ""
    assert tuning.on_edge([{}], 0) == ""
