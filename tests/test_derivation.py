"""Strategies made from others' models."""

import numpy as np
import pandas as pd
import pytest
import torch

from headstart import derivation


def member(seconds: float, **changes) -> dict:
    costs = {
        "device_seconds": seconds,
        "feature_device_seconds": 2.0,
        "tuning_device_seconds": 5.0,
        "train_seconds": 2 * seconds,
        "feature_seconds": 1.0,
    }
    return costs | {"strategy": "full", "seed": 0, "trials": 4, "trained_on_val": False} | changes


def test_an_ensemble_is_the_mean_of_its_members():
    frames = [
        pd.DataFrame({"p:a": [0.9, 0.2], "p:b": [0.1, 0.8]}, dtype=np.float32),
        pd.DataFrame({"p:a": [0.5, 0.6], "p:b": [0.5, 0.4]}, dtype=np.float32),
    ]
    made = derivation.averaged(frames, ["a", "b"])
    assert made.dtype == np.float32
    assert np.allclose(made, [[0.7, 0.3], [0.4, 0.6]])


def test_what_is_derived_costs_what_it_was_made_from():
    place = {"strategy": "soup", "seed": 3}
    run = derivation.record([member(10.0), member(30.0, trained_on_val=True)], place, "wise_ft", 7)
    assert (run["device_seconds"], run["train_seconds"]) == (47.0, 80.0)
    assert (run["feature_device_seconds"], run["tuning_device_seconds"]) == (4.0, 10.0)
    assert (run["strategy"], run["seed"], run["trials"]) == ("soup", 3, 4)
    assert run["derived"] == "wise_ft"
    assert run["trained_on_val"]


def test_every_share_is_validated_as_it_would_be_kept():
    start, end = {"w": torch.tensor([0.0])}, {"w": torch.tensor([1.0])}

    def validate(state: dict) -> dict[str, float]:
        return {"val_loss": float((state["w"] - 0.7) ** 2), "val_accuracy": 0.5}

    history = derivation.mixtures(start, end, derivation.SHARES, validate)
    assert list(history.lr) == pytest.approx(list(np.linspace(0, 1, 11)))
    assert history.loc[history.val_loss.idxmin(), "lr"] == 0.7
    assert list(history.epoch) == list(range(1, 12)) and history.train_loss.isna().all()
