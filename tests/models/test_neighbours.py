"""Nearest neighbours as the final layer of a network."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.neighbors import KNeighborsClassifier

from headstart.models import layers, layouts, neighbours
from headstart.models.neighbours import Neighbours


def state(n: int, width: int, k: int, classes: int = 3) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    bank = neighbours.unit(torch.randn(n, width, generator=draws))
    return {"bank": bank, "labels": torch.arange(n) % classes, "k": torch.tensor(k)}


def votes(similarities: np.ndarray) -> np.ndarray:
    """Weights of Wu et al. 2018; scikit-learn hands over cosine distances."""
    return np.exp((1 - similarities) / 0.07)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_neighbours_vote_as_scikit_learn_s_do(k):
    held, queries = state(40, 6, k), torch.randn(25, 6) * 9
    made = Neighbours(held, 3)(queries).exp().numpy()
    reference = KNeighborsClassifier(k, weights=votes, metric="cosine", algorithm="brute")
    shares = reference.fit(held["bank"], held["labels"]).predict_proba(queries)
    assert np.allclose(made, (shares * k + 1 / 3) / (k + 1), atol=1e-5)  # the one spread evenly
    assert np.allclose(made.sum(1), 1, atol=1e-6) and made.min() > 0


def test_a_class_without_a_neighbour_is_improbable_and_not_impossible():
    similarities, labels = torch.tensor([[0.9, 0.2]]), torch.tensor([[2, 0]])
    shares = neighbours.vote(similarities, labels, 4).exp()[0]
    assert shares.argmax() == 2 and shares[1] == shares[3] == pytest.approx(1 / 12)


@pytest.mark.parametrize(
    ("library", "name"), [("timm", "test_efficientnet"), ("torchvision", "resnet18")]
)
def test_a_network_with_neighbours_is_saved_read_and_placed_like_any(
    make_model, cpu, tmp_path, library, name
):
    model, images = make_model(library, name, 3), torch.randn(4, 3, 64, 64)
    head = layers.head_name(model)
    width = model.get_submodule(head).in_features
    model.set_submodule(head, Neighbours(state(30, width, 5), 3))
    assert layers.head_name(model) == head
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    saved = load_file(tmp_path / "m.safetensors")
    assert {f"{head}.bank", f"{head}.labels", f"{head}.k"} < saved.keys()

    other = make_model(library, name, 3)
    neighbours.take_place(other, head, saved, 3)
    other.load_state_dict(saved)
    with torch.inference_mode():
        expected = model(images)
        assert torch.equal(other.eval()(images), expected)
        folded = layouts.fold_norms(other, 64)
        placed = layouts.place(folded, cpu, folded.get_submodule(layers.head_name(folded)))
        assert torch.allclose(placed(images), expected, rtol=1e-3, atol=1e-3)


def test_an_exported_graph_takes_batches_of_any_size():
    """MLflow keeps models in that form."""
    head, features = Neighbours(state(40, 6, 5), 3), torch.randn(7, 6)
    auto = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(head, (features[:2],), dynamic_shapes=auto).module()
    for n in (1, 2, 7):
        torch.testing.assert_close(exported(features[:n]), head(features[:n]))


def test_a_linear_head_keeps_its_place(make_model):
    model = make_model("timm", "test_resnet")
    head = layers.head_name(model)
    before = model.get_submodule(head)
    neighbours.take_place(model, head, model.state_dict(), 3)
    assert model.get_submodule(head) is before
