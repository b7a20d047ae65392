"""Weights between two models."""

import pytest
import torch

from headstart import HeadstartError
from headstart.models import mixing

START = {"a": torch.tensor([0.0, 2.0]), "count": torch.tensor(3)}
END = {"a": torch.tensor([1.0, 4.0]), "count": torch.tensor(9)}


@pytest.mark.parametrize(("share", "wanted"), [(0.0, [0, 2]), (0.25, [0.25, 2.5]), (1.0, [1, 4])])
def test_a_mixture_lies_between_its_ends(share, wanted):
    made = mixing.mixed(START, END, share)
    assert torch.equal(made["a"], torch.tensor(wanted, dtype=torch.float32))
    assert made["count"] == 9


def test_other_layers_are_refused():
    with pytest.raises(HeadstartError, match="differ in their layers"):
        mixing.mixed(START | {"head.bank": torch.zeros(3)}, END, 0.5)
    with pytest.raises(HeadstartError, match="differ in their layers"):
        mixing.mixed(START | {"a": torch.zeros(3)}, END, 0.5)
