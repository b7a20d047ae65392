"""Names of backbones: all that the libraries have, and torch left alone."""

import subprocess
import sys

import pytest
import timm
import torchvision

from headstart import HeadstartError
from headstart.models import registry

LIGHT = """
import sys
from headstart import preflight
from headstart.experiment import config, loading
from headstart.models import backbones, registry, weights
backbone = config.Backbone("resnet18", "timm", "default", "standard")
registry.require_known(backbone)
weights.require_available(backbone)
print([m for m in ("torch", "timm", "torchvision", "mlflow") if m in sys.modules])
"""


def test_known_names_are_those_of_the_libraries():
    assert registry.known_names("timm") == sorted(timm.list_models())
    classification = torchvision.models.list_models(module=torchvision.models)
    assert registry.known_names("torchvision") == sorted(
        set(classification) - {"googlenet", "inception_v3"}
    )


def test_names_and_preflight_checks_leave_torch_alone():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("library", "name", "suggested"),
    [
        ("timm", "resnet_18", "resnet18"),
        ("timm", "efficientnet_lite_0", "efficientnet_lite0"),
        ("torchvision", "mobilenet_v3_smal", "mobilenet_v3_small"),
        ("torchvision", "resnet18.a1_in1k", "resnet18"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(make_backbone, one_line, library, name, suggested):
    with pytest.raises(HeadstartError) as caught:
        registry.require_known(make_backbone(name, library, "none"))
    text = one_line(caught)
    assert f"backbone.name is {name!r}" in text and library in text and suggested in text


def test_a_timm_name_may_carry_a_tag(make_backbone):
    registry.require_known(make_backbone("resnet18.a1_in1k", "timm", "none"))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_a_network_with_auxiliary_outputs_is_refused_by_its_reason(make_backbone, one_line, name):
    with pytest.raises(HeadstartError) as caught:
        registry.require_known(make_backbone(name, "torchvision", "none"))
    text = one_line(caught)
    assert "auxiliary outputs in training" in text and "does not have" not in text
    assert "inception_v3 of backbone.library timm" in text
    registry.require_known(make_backbone("inception_v3", "timm", "none"))
