"""Groups: from a column or by a regular expression, and where file names suggest them."""

import re
from pathlib import Path

import pytest

from headstart.data import groups, sources
from headstart.experiment import config, loading


def folder(path, group=None) -> config.Dataset:
    return config.Dataset("folder", path=str(path), group=group)


PATIENTS = [
    f"{label}/patient{number:03}_{shot:02}.png"
    for label, numbers in {"ill": range(4), "well": range(4, 8)}.items()
    for number in numbers
    for shot in range(3)
]


def test_no_group_is_empty(tmp_path, fill):
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    listing = sources.list_images(folder(tmp_path))
    assert listing.columns.tolist() == ["id", "path", "label", "split", "group"]
    assert set(listing["group"]) == {""}
    assert all(dtype == "str" for dtype in listing.dtypes)


@pytest.mark.parametrize(
    "expression, first",
    [
        (r"patient\d+", "patient000"),
        (r"patient(\d+)_(\d+)", "000"),
        (r"(?:p)a", "pa"),
        (r"(.)/", "l"),
    ],
)
def test_a_group_is_the_first_parentheses_or_the_match(tmp_path, fill, expression, first):
    fill(tmp_path, *PATIENTS)
    listing = sources.list_images(folder(tmp_path, expression))
    assert listing["group"][0] == first and listing["id"][0] == PATIENTS[0]
    assert listing["group"].dtype == "str"


@pytest.mark.parametrize(
    "expression, words",
    [
        ("patient(", ["'patient('", "no regular expression", "unterminated"]),
        (r"patient00[0-6]", ["finds nothing in 'well/patient007_00.png'"]),
        (r"ill/(x)?", ["finds nothing in 'ill/patient000_00.png'"]),
        (r"(x)?|patient", ["finds nothing"]),
        (r"", ["finds nothing"]),
    ],
)
def test_a_group_that_is_not_found_is_one_line(tmp_path, fill, mistake, expression, words):
    fill(tmp_path, *PATIENTS)
    text = mistake(sources.survey, folder(tmp_path, expression or "(?=x)?"))
    assert text.startswith("dataset.group: ") and all(word in text for word in words), text


def test_a_column_of_the_table_is_the_group(tmp_path, fill, make_dataset, mistake):
    fill(tmp_path, "p1_a.jpg", "p1_b.jpg", "p2_a.jpg")
    (tmp_path / "t.csv").write_text("id,kind,patient\np1_b,x,P1\np1_a,y,P1\np2_a,y,\n")
    table = {"file": "t.csv", "image": "{id}.jpg", "label": "kind"}

    def given(group):
        return make_dataset("csv", path=str(tmp_path), table=table, group=group)

    assert sources.list_images(given("patient"))["group"].tolist() == ["P1", "P1", ""]
    assert sources.list_images(given("kind"))["group"].tolist() == ["y", "x", "y"]
    assert sources.list_images(given(r"^p\d"))["group"].tolist() == ["p1", "p1", "p2"]
    text = mistake(sources.survey, given("patients"))
    assert "'patients' is no column of t.csv and finds nothing in 'p1_a.jpg'" in text
    assert "is no column of t.csv and is no regular" in mistake(sources.survey, given("("))


@pytest.mark.parametrize(
    "paths, example",
    [
        (PATIENTS, "patient000"),
        ([path.replace("patient", "cell").replace("_0", "_row") for path in PATIENTS], "cell000"),
        ([path.replace("_", "-") for path in PATIENTS], "patient000"),
        ([path.replace("_", "/") for path in PATIENTS], "patient000"),
        ([f"train/{path}" for path in PATIENTS], "patient000"),
        ([re.sub(r"patient0*(\d)_00", r"\1_left", path) for path in PATIENTS], None),
        ([path.replace("patient", "scan_") for path in PATIENTS], "scan_000"),
    ],
)
def test_groups_that_file_names_show(tmp_path, fill, paths, example):
    fill(tmp_path, *paths)
    survey = sources.survey(folder(tmp_path))
    suggestion = groups.suggested(survey.table)
    if example is None:
        assert suggestion is None and survey.notes == []
        return
    assert survey.notes == [
        f"file names suggest groups, such as '{example}': dataset.group: '{suggestion}'"
    ]
    grouped = sources.survey(folder(tmp_path, suggestion))
    assert grouped.table["group"].nunique() == 8 and grouped.notes == []
    assert (grouped.table["group"] == example).sum() == 3


CLASSES = ("cat", "dog")


@pytest.mark.parametrize(
    "paths",
    [
        [f"{c}/{n}.jpg" for c in CLASSES for n in range(30)],
        [f"{c}/{c}_{n}.jpg" for c in CLASSES for n in range(30)],
        [f"{c}/IMG_{n:04}.jpg" for c in CLASSES for n in range(30)],
        [f"{c}/n0{len(c)}44_{n}.jpg" for c in CLASSES for n in range(30)],
        [f"{c}/{n}_{n * 7919 % 1000}.jpg" for c in CLASSES for n in range(30)],
        [f"{c}/{n}_{k}.jpg" for c in CLASSES for n in range(10) for k in "ab"],
        [f"{c}/red_{n}.jpg" for c in CLASSES for n in range(30)] + ["cat/1.jpg"],
        [f"{c}/a/{n}.jpg" for c in CLASSES for n in range(30)],
        ["cat/p1_1.jpg", "cat/p1_2.jpg", "dog/p2_1.jpg", "dog/p2_2.jpg"],
    ],
)
def test_names_that_show_no_groups(tmp_path, fill, paths):
    fill(tmp_path, *paths)
    survey = sources.survey(folder(tmp_path))
    assert groups.suggested(survey.table) is None and survey.notes == []


def test_elpv_shows_no_groups():
    dataset = loading.load(Path(__file__).parents[2] / "config" / "config.yaml").dataset
    assert sources.survey(dataset).notes == []
