"""Notes: what a survey tells of labels that look alike, masks, and groups by name."""

import pytest

from headstart.data import names, sources
from headstart.experiment import config


def survey(path, **settings) -> sources.Survey:
    return sources.survey(config.Dataset("folder", path=str(path), **settings))


@pytest.mark.parametrize(
    "labels, groups",
    [
        (["Cat", "cat", "dog"], [["Cat", "cat"]]),
        (
            ["hot dog", "hot_dog", "Hot-Dog", "hot  dog "],
            [["Hot-Dog", "hot  dog ", "hot dog", "hot_dog"]],
        ),
        (["1", "01", "1.0", "1.00", "10"], [["01", "1", "1.0", "1.00"]]),
        (["class 1", "Class_01"], [["Class_01", "class 1"]]),
        (["1", "-1", "0.5", "5"], []),
        (["A", "A-", "A+"], []),
        (["n02085620", "n02085621", "12345678901234567890", "12345678901234567891"], []),
        (["ﬁsh", "fish"], [["fish", "ﬁsh"]]),
        (["0.10", "0.1", ".1"], [["0.1", "0.10"]]),
    ],
)
def test_labels_that_look_alike(labels, groups):
    assert sorted(names.alike(labels)) == groups


def test_labels_that_look_alike_are_told(tmp_path, fill):
    fill(tmp_path, *(f"{label}/1.jpg" for label in ("Cat", "cat ", "dog", "1", "01")))
    assert survey(tmp_path).notes == [
        "classes that differ only in case, spaces or the form of a number: '01' and '1'; "
        "'Cat' and 'cat '; give them one name if they are one class"
    ]


def test_alike_labels_of_a_table(tmp_path, fill, make_dataset):
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text("id,kind\na,Yes\nb,yes\n")
    table = {"file": "t.csv", "image": "{id}.jpg", "label": "kind"}
    (note,) = sources.survey(make_dataset("csv", path=str(tmp_path), table=table)).notes
    assert "'Yes' and 'yes'" in note


def test_images_of_one_name_are_told(tmp_path, fill):
    fill(
        tmp_path, *(f"{label}/{n}.{end}" for label in "ab" for n in "12" for end in ("jpg", "PNG"))
    )
    fill(tmp_path, "a/3.jpg", "a/3.txt", "b/4.jpg", "a/sub/4.png")
    assert survey(tmp_path).notes == [
        "4 names are those of several images, such as 'a/1.PNG' and 'a/1.jpg'; if one of each is a "
        "mask or a copy, leave it out with dataset.exclude, such as '*.PNG' or '*.jpg', or name "
        "the others in dataset.include"
    ]
    assert survey(tmp_path, exclude=("*.PNG",)).notes == []
    assert survey(tmp_path, include=("*.jpg",)).notes == []


@pytest.mark.parametrize(
    "ending", ["_mask", "_mask_1", "-segmentation", " (mask)", "_GT", ".label"]
)
def test_masks_by_name_are_told_and_the_way_out_works(tmp_path, fill, ending):
    fill(tmp_path, *(f"{c}/x ({n}){end}.png" for c in "ab" for n in "12" for end in ("", ending)))
    notes = survey(tmp_path).notes
    if ending == " (mask)":
        assert notes == []
        return
    (note,) = notes
    assert note.startswith(f"4 images are named as masks of others, such as 'a/x (1){ending}.png'")
    pattern = note.partition("such as '*")[2].partition("'")[0]
    left = survey(tmp_path, exclude=(f"*{pattern}",))
    assert left.notes == [] and len(left.table) == 4


def test_folders_of_masks_are_told(tmp_path, fill):
    fill(tmp_path, *(f"{c}/{f}/{n}.png" for c in "ab" for f in ("images", "masks") for n in "12"))
    notes = survey(tmp_path, classes="outer").notes
    assert notes == [
        "4 images are in folders named as those of masks, such as 'a/masks/1.png'; leave them out "
        "with dataset.exclude, such as 'masks/'"
    ]
    left = survey(tmp_path, exclude=("masks/",))
    assert left.notes == [] and len(left.table) == 4


def test_classes_named_after_masks_are_no_masks(tmp_path, fill):
    fill(tmp_path, *(f"{c}/{c}_{n}.png" for c in ("with_mask", "mask", "label") for n in "123"))
    assert survey(tmp_path).notes == []


def test_a_note_is_one_line_whatever_the_names(tmp_path, fill):
    fill(tmp_path, "a/1.jpg", "b/1.jpg", "odd\nname.jpg", f"{'long' * 50}.jpg")
    (note,) = survey(tmp_path).notes
    assert "\n" not in note and "odd\N{REPLACEMENT CHARACTER}name.jpg" in note and "…" in note


# The lines of a survey


def test_lines_of_a_survey(tmp_path, fill):
    fill(
        tmp_path, *(f"{part}/{c}/{n}.jpg" for part in ("Train", "Test") for c in "ab" for n in "12")
    )
    fill(tmp_path, "Train/c/1.jpg", "x.jpg")
    assert list(survey(tmp_path).lines()) == [
        ("images", "9 files in 3 classes, 1 to 4 a class"),
        ("classes", "a 4, b 4, c 1"),
        ("first", "of Test: Test/a/1.jpg, Test/a/2.jpg, Test/b/1.jpg"),
        ("first", "of Train: Train/a/1.jpg, Train/a/2.jpg, Train/b/1.jpg"),
        (
            "note",
            "1 image beside the class folders is left out, as no folder says the class: 'x.jpg'",
        ),
    ]


@pytest.mark.parametrize("count", [20, 21])
def test_many_classes_are_not_all_named(tmp_path, fill, count):
    fill(tmp_path, *(f"c{n:02}/1.jpg" for n in range(count)))
    lines = dict(survey(tmp_path).lines())
    assert lines["classes"].startswith("c00 1, c01 1, ") and lines["first"].startswith("c00/1.jpg")
    if count == 20:
        assert lines["classes"].count(",") == 19
    else:
        assert lines["classes"].endswith(
            "c04 1 and 11 more, up to c16 1, c17 1, c18 1, c19 1, c20 1"
        )
