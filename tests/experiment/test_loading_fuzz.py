"""Experiment files of any content: settings, or one line."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import amount, folder, only_own_errors
from hypothesis import given
from hypothesis import strategies as st

from headstart.experiment import config, loading

pytestmark = pytest.mark.fuzz

ROOT = Path(__file__).parents[2]
GOOD = [
    yaml.safe_load(path.read_text())
    for path in [ROOT / "config/config.yaml", *sorted((ROOT / "config/experiments").glob("*.yaml"))]
]
TOKENS = [
    *("experiment: a\n", "dataset: ", "strategies:\n", "  full: ", "{", "}", "[", "]", ", ", ": "),
    *("- ", "\n", "  ", "\t", "&a ", "*a", "<<: ", "!!int ", "!!binary ", "? ", "|\n", ">-\n", "#"),
    *("'", '"', "\\0", "\\ud800", "---\n", "...\n", "%YAML 1.2\n", "null", "~", "0x_", "1e999"),
    *("0b", "1:60", "2024-13-01", ".nan", "-.inf", "9" * 200, "é", "\0", "\ufeff", "猫", "seeds"),
]
texts = st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=25).map("".join)

odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400, 2**64, 1e308, float("nan"), float("inf"), 1e-300]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "a\nb", "\r", "x" * 300, "auto", "head", "all", "folder", "nan", "../x"]),
    st.dates(),
    st.binary(max_size=3),
)
values = st.recursive(
    odd_values,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | odd_values, inner)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values within one."""
    inner: list = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A good experiment in which a few values are others, are gone, or are too many."""
    raw = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        *around, key = draw(st.sampled_from(places(raw)[1:]))
        target = raw
        for step in around:
            target = target[step]
        what = draw(st.sampled_from(["other", "gone", "more"]))
        if what == "gone":
            del target[key]
        elif what == "more" and isinstance(target, dict):
            target[draw(st.text(max_size=5) | odd_values)] = draw(values)
        else:
            target[key] = draw(values)
        if not places(raw)[1:]:
            break
    return raw


def load(content: bytes) -> None:
    with folder() as place, only_own_errors():
        path = place / "mine.yaml"
        path.write_bytes(content)
        made = loading.load(path)
        assert config.parse(config.Experiment, config.plain(made)) == made


@amount(150)
@given(texts)
def test_texts(text):
    load(text.encode(errors="surrogatepass"))


@amount(20)
@given(st.binary())
def test_bytes(content):
    load(content)


@amount(150)
@given(changed())
def test_good_experiments_changed(raw):
    load(yaml.dump(raw, allow_unicode=True).encode(errors="surrogatepass"))


@amount(100)
@given(changed())
def test_settings_that_come_from_no_file(raw):
    """As Snakemake hands them on, of types that no YAML has."""
    with only_own_errors():
        loading.from_dict(raw)


@amount(50)
@given(st.lists(texts | st.builds("{}={}".format, st.sampled_from(["seeds", "image"]), texts)))
def test_overrides(overrides):
    with folder() as place, only_own_errors():
        path = place / "mine.yaml"
        path.write_text("experiment: tiny\ndataset: {source: folder, path: images}\n")
        loading.load(path, overrides)
