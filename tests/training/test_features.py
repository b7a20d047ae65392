"""Features: those of the frozen model in eval mode, the same again each time."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headstart import prediction
from headstart.experiment.config import Transform
from headstart.models import layers
from headstart.models.backbones import Prepared
from headstart.training import features


def test_features_are_those_of_the_model_in_eval_mode(tmp_path, make_cache, make_model, image, cpu):
    cache, model = make_cache(12), make_model("timm", "test_efficientnet", 2)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    description = {
        "name": "test_efficientnet",
        "library": "timm",
        "image": image,
        "stem": "standard",
        "num_features": model.get_classifier().in_features,
    }
    prepared = Prepared(description, tmp_path / "w.safetensors")
    policy = [Transform("horizontal_flip", (("p", 1.0),))]
    outputs = [tmp_path / name for name in ("one.npy", "two.npy")]
    for output in outputs:
        torch.manual_seed(len(output.name))
        features.extract(cache, prepared, policy, 2, cpu, output)
    made = np.load(outputs[0])
    assert made.dtype == np.float32 and made.shape == (2, 12, description["num_features"])
    assert (made == np.load(outputs[1])).all()
    layers.detach_head(model)
    images = torch.stack([torch.from_numpy(cache[i].copy()) for i in range(12)])
    images = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        plain, flipped = model(images).numpy(), model(images.flip(3)).numpy()
    np.testing.assert_allclose(made[0], plain, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(made[1], flipped, atol=1e-4, rtol=1e-4)
    assert sorted(path.suffix for path in tmp_path.glob("*.*")).count(".partial") == 0


@pytest.mark.parametrize("flips", [(), ("horizontal",), ("horizontal", "vertical")])
def test_a_head_tested_on_features_answers_as_the_whole_model(
    tmp_path, make_cache, make_model, image, cpu, flips
):
    cache, model = make_cache(12), make_model("timm", "test_efficientnet", 2)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    description = {
        "name": "test_efficientnet",
        "library": "timm",
        "image": image,
        "num_features": model.get_classifier().in_features,
    }
    prepared = Prepared(description, tmp_path / "w.safetensors")
    ids = [cache.ids[i] for i in (7, 2, 11)]
    features.extract_flipped(cache, ids, prepared, flips, cpu, tmp_path / "test.npy")
    made = np.load(tmp_path / "test.npy")
    assert made.dtype == np.float32
    assert made.shape == (2 ** len(flips), 3, description["num_features"])
    whole = prediction.Classifier(model.eval(), ["a", "b"], image, "cross_entropy", flips, {}, 1.7)
    answers = prediction.from_features(whole, made)
    assert answers.dtype == np.float32
    wanted = prediction.probabilities(whole, cache, ids, cpu)
    np.testing.assert_allclose(answers, wanted, atol=1e-4)
