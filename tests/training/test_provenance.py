"""What decides a run's result, and so whether an interrupted one can go on."""

from dataclasses import replace

import pytest
from small_training import run_name

from headstart import provenance
from headstart.provenance import digest

NAME = run_name("full", 0.5, split=2, seed=3)
HASHES = {"split_hash": "5p1i7", "data_hash": "da7a"}
DECISIVE = ["lr", "select_by", "seed", "fraction", "backbone", *HASHES]


def test_digest_is_independent_of_key_order_only():
    one, other = {"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}
    assert digest(one) == digest(other) and len(digest(one)) == 64
    assert digest(one) != digest({"a": 1, "b": [2, 1]})
    assert digest({"a": 0.1}) == digest({"a": 0.10})


def test_another_gpu_of_the_same_kind_goes_on_where_this_one_stopped(cpu, make_strategy):
    def key(device) -> str:
        return digest(provenance.made_by(NAME, make_strategy({}), {"name": "n"}, HASHES, device))

    assert key(replace(cpu, uuid="GPU-2", threads=7)) == key(cpu)
    assert key(replace(cpu, precision="bf16")) != key(cpu)
    assert key(replace(cpu, name="other CPU")) != key(cpu)


@pytest.mark.parametrize("change", DECISIVE)
def test_whatever_decides_the_result_changes_the_key(cpu, make_strategy, change):
    def key(changed: bool) -> str:
        lr = 0.02 if changed and change == "lr" else 0.01
        selected = {"select_by": "loss"} if changed and change == "select_by" else {}
        name = replace(NAME, **({change: 1} if changed and change in ("seed", "fraction") else {}))
        backbone = {"name": change if changed and change == "backbone" else "n"}
        hashes = HASHES | ({change: "other"} if changed and change in HASHES else {})
        strategy = make_strategy({"lr": lr}, **selected)
        return digest(provenance.made_by(name, strategy, backbone, hashes, cpu))

    assert key(True) != key(False) == key(False)


def test_a_run_is_tagged_with_what_it_can_be_found_by(cpu, make_strategy):
    made = provenance.made_by(NAME, make_strategy({}), {"name": "n"}, HASHES, cpu)
    tags = provenance.tags(NAME, made)
    assert str(NAME) == "full/fraction-0.5/split-2/seed-3"
    wanted = {"strategy": "full", "fraction": "0.5", "split": "2", "seed": "3"}
    assert tags.items() >= (wanted | {"split_hash": "5p1i7", "device": cpu.name}).items()
    assert tags["config_hash"] == digest([made["strategy"], made["backbone"]])
