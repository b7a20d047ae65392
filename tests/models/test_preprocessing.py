"""Preprocessing: what belongs to the weights, and what an experiment changes of it."""

import torchvision
from torch import nn

from headstart.experiment import config
from headstart.models import preprocessing, registry


def test_preprocessing_comes_from_the_weights(make_model, lite0, no_image):
    model = make_model("timm", lite0.name)
    own = preprocessing.data_config(model, "timm", lite0.name, no_image)
    assert own == {
        "size": 224,
        "crop_pct": 0.875,
        "resize": 256,
        "cache_size": 256,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    given = config.Image(96, 1.0, "nearest", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), 200)
    changed = preprocessing.data_config(model, "timm", lite0.name, given)
    assert changed["size"] == changed["resize"] == 96 and changed["cache_size"] == 200
    assert (changed["interpolation"], changed["mean"]) == ("nearest", [0.1, 0.2, 0.3])


def test_torchvision_preprocessing_is_its_preset(no_image):
    """crop_pct is a quotient: the resize that comes back from it must be the preset's own."""
    for name in registry.known_names("torchvision"):
        preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        own = preprocessing.data_config(nn.Identity(), "torchvision", name, no_image)
        assert (own["size"], own["resize"]) == (preset.crop_size[0], preset.resize_size[0]), name
        assert own["interpolation"] == preset.interpolation.value
        assert own["mean"] == list(preset.mean)
