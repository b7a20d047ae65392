"""headstart predict --onnx: the numbers of headstart predict, without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import sklearn
import torch
from onnx import TensorProto, helper
from PIL import Image
from small_delivery import cells
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from headstart import cli
from headstart.delivery import exported
from headstart.views import frames

FLOWER = Path(sklearn.__file__).parent / "datasets/images/flower.jpg"
MODEL = "results/cells/export/model.onnx"
# The command, and then what of torch it has brought along.
WITHOUT_TORCH = """
import sys
from headstart import cli
status = cli.main(sys.argv[1:])
print([name for name in ("torch", "torchvision", "timm") if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Cells, a photograph, and it as tall, tiny, transparent and 16-bit pictures."""
    folder = tmp_path_factory.mktemp("photos")
    flower = Image.open(FLOWER)
    flower.resize((90, 400)).save(folder / "tall.jpg")
    flower.resize((31, 20)).save(folder / "tiny.png")
    flower.resize((70, 64)).save(folder / "as it is.png")
    clear = flower.resize((200, 150)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "transparent.png")
    deep = np.asarray(flower.convert("L").resize((120, 80)), np.uint16) * 200
    Image.fromarray(deep).save(folder / "deep.png")
    made = sorted(map(str, folder.iterdir()))
    return [*cells().path.iloc[:25], str(FLOWER), *made]


def shares(output: str) -> list[dict[str, float]]:
    """Probabilities by class, of each image of a JSON output."""
    rows = [row["predictions"] for row in json.loads(output)]
    return [{one["label"]: one["probability"] for one in row} for row in rows]


def test_it_gives_the_numbers_of_torch_without_torch(at_home, photos, capsys):
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", "--onnx", MODEL, "--json", *photos]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert cli.main(["predict", "--strategy", "full", "--seed", "1", "--json", *photos]) == 0
    found, expected = shares(done.stdout), shares(capsys.readouterr().out)
    assert len(found) == len(expected) == 31
    for one, other in zip(found, expected, strict=True):
        assert next(iter(one)) == next(iter(other))
        assert one == pytest.approx(other, abs=1e-4)
    assert np.ptp([row["defective"] for row in found]) > 0.3


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(480, 640), (97, 61), (20, 33), (64, 70)])
def test_views_are_those_of_torch_to_the_bit(interpolation, size):
    pixels = np.asarray(Image.open(FLOWER).resize(size[::-1]))
    image = {"size": 56, "resize": 64, "interpolation": interpolation}
    frame = frames.centred(np.array([size]), np.random.default_rng(), image)
    picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    kernel = InterpolationMode(interpolation)
    resized = F.resize(picture, frame.resized[0].tolist(), kernel, antialias=True)
    expected = F.center_crop(resized, [56, 56]).permute(1, 2, 0).numpy()
    assert np.array_equal(exported.view(pixels, image), expected)


def write_identity(path: Path) -> None:
    """A proper ONNX file that says nothing of what it takes and gives."""
    tensors = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])] for name in ("a", "b"))
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *tensors), opset_imports=opset), path)


def test_other_files_and_other_choices_are_one_line(at_home, tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("no model at all")
    write_identity(tmp_path / "other.onnx")
    for arguments, message in {
        ("--onnx", "nowhere.onnx"): "nowhere.onnx: no such file",
        ("--onnx", str(tmp_path / "text.onnx")): "text.onnx: ONNX Runtime cannot read it",
        ("--onnx", str(tmp_path / "other.onnx")): "other.onnx: has no metadata 'classes'",
        ("--onnx", MODEL, "--seed", "0"): "--onnx is the model itself",
    }.items():
        assert cli.main(["predict", *arguments, str(FLOWER)]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and message in line
