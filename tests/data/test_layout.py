"""Layouts: which folders are parts, which are classes, and what is said where it cannot be told."""

import itertools
import unicodedata

import pytest

from headstart.data import names, sources
from headstart.experiment import config

CLASSES = ("cat", "dog")


def files(*parts: str, inside: str = "{part}/{label}/1.jpg") -> list[str]:
    """An image of a cat and a dog in each part."""
    pairs = itertools.product(parts, CLASSES)
    return [inside.format(part=part, label=label) for part, label in pairs]


def folder(path, **settings) -> config.Dataset:
    return config.Dataset("folder", path=str(path), **settings)


def split_of(listing) -> dict[str, str]:
    return dict(zip(listing["id"], listing["split"], strict=True))


@pytest.mark.parametrize(
    "parts, kinds",
    [
        (("Training", "Testing"), ("train", "test")),
        (("TRAIN", "Dev", "tEst"), ("train", "val", "test")),
        (("tr", "eval", "test"), ("train", "val", "test")),
        (("training", "evaluation"), ("train", "val")),
        (("X_train", "X_test"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("train-images", "val-images", "test-images"), ("train", "val", "test")),
        (("TrainSet", "ValidSet", "TestSet"), ("train", "val", "test")),
        (("XTrain", "xTest"), ("train", "test")),
        (("trainset", "testset"), ("train", "test")),
        (("train2017", "val2017"), ("train", "val")),
        (("train", "my test set"), ("train", "test")),
        (("train_1", "train_2"), ("train", "train")),
        (("Flowers (train)",), ("train",)),
    ],
)
def test_names_of_parts_in_any_case_alone_or_as_a_word(tmp_path, fill, parts, kinds):
    fill(tmp_path, *files(*parts))
    survey = sources.survey(folder(tmp_path))
    expected = {name: name.partition("/")[0] for name in files(*parts)}
    assert split_of(survey.table) == expected
    assert set(survey.table["label"]) == set(CLASSES)
    assert tuple(map(names.part, parts)) == kinds
    assert survey.notes == []


@pytest.mark.parametrize(
    "name", ["cat", "test_train", "contest", "strain", "latest", "trained", "tested", "detest", ""]
)
def test_names_that_are_no_parts(name):
    assert names.part(name) is None


def test_an_exact_part_says_nothing_else():
    assert names.exact_part(" Testing ") == "test" == names.part("seg_test")
    assert names.exact_part("seg_test") is None


@pytest.mark.parametrize("inner", ["train", "Train", "train_images", "training_data"])
def test_a_part_in_a_part_of_its_kind_is_looked_into(tmp_path, fill, inner):
    fill(
        tmp_path,
        *files("seg_train", inside=f"{{part}}/{inner}/{{label}}/1.jpg"),
        *files("seg_test", inside="{part}/{part}/{label}/1.jpg"),
        "seg_train/readme/no_image.txt",
    )
    survey = sources.survey(folder(tmp_path))
    assert set(survey.table["label"]) == set(CLASSES)
    assert set(survey.table["split"]) == {"seg_train", "seg_test"}
    assert survey.notes == ["passed over, as no image in it counts: 'seg_train/readme'"]


def test_classes_with_words_of_parts_stay_classes(tmp_path, fill):
    classes = ["test_tube", "toy train", "flask"]
    fill(tmp_path, *(f"{label}/{deeper}1.jpg" for label in classes for deeper in ("", "more/")))
    assert set(sources.list_images(folder(tmp_path))["label"]) == set(classes)


def test_classes_that_are_all_trains_stay_classes(tmp_path, fill):
    fill(tmp_path, "steam_train/1.jpg", "toy train/1.jpg")
    assert sources.list_images(folder(tmp_path))["label"].tolist() == ["steam_train", "toy train"]


def test_a_class_may_be_called_train_within_parts(tmp_path, fill):
    classes = ["bus", "train"]
    fill(tmp_path, *(f"{part}/{label}/1.jpg" for part in ("train", "test") for label in classes))
    listing = sources.list_images(folder(tmp_path))
    assert listing["label"].tolist() == ["bus", "train", "bus", "train"]
    assert listing["split"].tolist() == ["test", "test", "train", "train"]


@pytest.mark.parametrize(
    "paths, words",
    [
        (
            [*files("train", "test"), "extra/1.jpg"],
            ["ambiguous", "'test'", "'extra'", "dataset.exclude: ['/extra/']"],
        ),
        (
            [*files("train"), "a [1] #x/cat/1.jpg"],
            ["ambiguous", "dataset.exclude: ['/a\\ \\[1\\]\\ \\#x/']"],
        ),
        ([*files("tr"), "en/1.jpg"], ["ambiguous", "'tr'", "'en'"]),
        (["car/1.jpg", "train/1.jpg"], ["ambiguous", "'train'", "'car'", "rename"]),
        (
            [*files("seg_train", "seg_test"), "seg_pred/1.jpg"],
            ["ambiguous", "'seg_test'", "'seg_pred'", "dataset.exclude: ['/seg_pred/']"],
        ),
        (
            [*files("X_train"), "X_test/1.jpg"],
            ["X_test has no class subfolders", "1 file", "dataset.exclude: ['/X_test/']"],
        ),
        (["train_images/1.jpg", "test_images/1.jpg"], ["test_images has no class subfolders"]),
        ([*files("test")], ["no train part", "'test'", "/test as the source"]),
        ([*files("Val", "Testing")], ["no train part", "'Testing' and 'Val'"]),
        (
            [*files("train", inside="train/{label}/1.jpg"), "train/test/cat/1.jpg"],
            ["/train holds the part folder 'test'", "dataset.exclude"],
        ),
        (["train/train/1.jpg", "train/test/1.jpg"], ["/train holds the part folder 'test'"]),
        (["train/train/1.jpg"], ["holds the part folder 'train'"]),
    ],
)
def test_parts_that_cannot_be_told_are_one_line(tmp_path, fill, mistake, paths, words):
    fill(tmp_path, *paths)
    for call in (sources.survey, sources.fingerprint):
        text = mistake(call, folder(tmp_path))
        assert text.startswith("dataset.path: ") and str(tmp_path) in text
        assert [word for word in words if word not in text] == [], text


def test_the_way_out_of_an_ambiguous_layout_works(tmp_path, fill):
    fill(tmp_path, *files("train", "test"), "a [1] #x/cat/1.jpg", "doc/1.txt")
    given = folder(tmp_path, exclude=("/a\\ \\[1\\]\\ \\#x/",))
    survey = sources.survey(given)
    assert set(survey.table["split"]) == {"train", "test"}
    assert survey.notes == ["passed over, as no image in it counts: 'doc'"]


# Classes in classes


YEARS = files("2019", "2020")


def test_two_readings_stop_and_name_the_way_out(tmp_path, fill, mistake):
    fill(tmp_path, *YEARS, "2020/bird/1.jpg", "2020/cover.jpg")
    for call in (sources.survey, sources.fingerprint):
        text = mistake(call, folder(tmp_path))
        for words in (
            "two ways",
            "dataset.classes: outer for the labels '2019' and '2020'",
            "dataset.classes: inner for 'cat' and 'dog'",
        ):
            assert words in text
    assert "masks" not in text


def test_outer_and_inner_folders_as_classes(tmp_path, fill):
    fill(tmp_path, *YEARS, "2020/bird/deep/1.jpg", "2020/cover.jpg", "cover.png")
    outer = sources.survey(folder(tmp_path, classes="outer"))
    assert outer.table["label"].value_counts().to_dict() == {"2019": 2, "2020": 4}
    inner = sources.survey(folder(tmp_path, classes="inner"))
    assert inner.table["label"].value_counts().to_dict() == {"cat": 2, "dog": 2, "bird": 1}
    assert inner.table["id"][0] == "2019/cat/1.jpg"
    assert [note for note in inner.notes if "beside" in note] == [
        "2 images beside the class folders are left out, as no folder says the class: "
        "'cover.png' and '2020/cover.jpg'"
    ]


def test_inner_classes_in_parts(tmp_path, fill, mistake):
    fill(tmp_path, *(f"{part}/{name}" for part in ("Train", "Test") for name in YEARS))
    assert "two ways" in mistake(sources.survey, folder(tmp_path))
    listing = sources.list_images(folder(tmp_path, classes="inner"))
    assert listing["label"].value_counts().to_dict() == {"cat": 4, "dog": 4}
    assert listing["split"].value_counts().to_dict() == {"Train": 4, "Test": 4}


@pytest.mark.parametrize(
    "paths, settings, words",
    [
        ([*YEARS, "2021/1.jpg"], {"classes": "inner"}, ["2021 holds no folders", "exclude"]),
        (
            files("cat", "dog", inside="{label}/train/{part}.jpg")
            + files("cat", "dog", inside="{label}/test/{part}.jpg"),
            {},
            ["parts within the classes", "PART/CLASS/IMAGE", "dataset.classes: outer"],
        ),
        (
            files("train", "test", inside="{part}/images/{label}/1.jpg"),
            {},
            ["only one class, 'images'", "or set dataset.classes: inner"],
        ),
        (
            ["cat/train/1.jpg", "dog/train/1.jpg"],
            {"classes": "inner"},
            ["cat holds the part folder 'train'"],
        ),
        (
            [f"{c}/{f}/1.png" for c in ("a", "b") for f in ("images", "masks")],
            {},
            ["two ways", "masks are left out with dataset.exclude"],
        ),
    ],
)
def test_classes_that_cannot_be_told_are_one_line(tmp_path, fill, mistake, paths, settings, words):
    fill(tmp_path, *paths)
    text = mistake(sources.survey, folder(tmp_path, **settings))
    assert [word for word in words if word not in text] == [], text


@pytest.mark.parametrize(
    "paths",
    [
        ["cat/p1/1.jpg", "cat/p2/1.jpg", "dog/p3/1.jpg", "dog/p4/1.jpg"],
        ["cat/a/1.jpg", "dog/a/1.jpg"],
        ["cat/a/1.jpg", "cat/b/1.txt", "dog/a/1.jpg", "dog/b/1.jpg"],
        ["cat/1.jpg", "dog/a/1.jpg", "dog/b/1.jpg"],
    ],
)
def test_folders_within_classes_that_leave_one_reading(tmp_path, fill, paths):
    fill(tmp_path, *paths)
    assert set(sources.list_images(folder(tmp_path))["label"]) == {"cat", "dog"}


def test_tables_have_no_outer_classes(tmp_path, make_dataset, mistake, fill):
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "t.csv").write_text("id,kind\na,x\nb,y\n")
    table = {"file": "t.csv", "image": "{id}.jpg", "label": "kind"}
    given = make_dataset("csv", path=str(tmp_path), table=table, classes="inner")
    assert "dataset.classes is 'inner', but column 'kind'" in mistake(sources.survey, given)


# Labels


def test_labels_are_composed_and_folders_equal_in_that_are_one_class(tmp_path, fill):
    composed, decomposed = "Käse", unicodedata.normalize("NFD", "Käse")
    fill(tmp_path, f"{composed}/1.jpg", f"{decomposed}/2.jpg", "Brot/1.jpg")
    survey = sources.survey(folder(tmp_path))
    assert survey.table["label"].value_counts().to_dict() == {"Käse": 2, "Brot": 1}
    assert set(survey.table["id"]) == {f"{composed}/1.jpg", f"{decomposed}/2.jpg", "Brot/1.jpg"}
    assert survey.notes == []


# Junk


JUNK = [
    *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".git"),
    *("__MACOSX", ".ipynb_checkpoints", "__pycache__", "@Recently-Snapshot", ".Trash-1000"),
]


def test_junk_is_passed_over_everywhere(tmp_path, fill):
    junk = [f"{place}{name}/cat/1.jpg" for place in ("", "train/", "train/cat/") for name in JUNK]
    ends = ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.jpg", "Icon\r")
    junk += [f"train/cat/{name}" for name in ends]
    fill(tmp_path, *files("train", "test"), *junk)
    survey = sources.survey(folder(tmp_path))
    assert set(survey.table["id"]) == set(files("train", "test"))
    assert survey.notes == []


def test_junk_in_an_archive(tmp_path, make_dataset, pack):
    junk = [f"{place}{name}/cat/1.jpg" for place in ("", "set/", "set/Train/") for name in JUNK]
    archive = pack(tmp_path / "a.zip", *files("set/Train", "set/Testing"), *junk)
    survey = sources.fetch(make_dataset("archive", address=str(archive)), tmp_path / "d")
    assert set(survey.table["id"]) == set(files("Train", "Testing"))


# Beside the class folders


def test_images_beside_the_class_folders_are_told(tmp_path, fill):
    fill(tmp_path, *files("train", "test"), "train/1.jpg", "train/2.PNG", "test/a.txt", "3.gif")
    survey = sources.survey(folder(tmp_path))
    assert len(survey.table) == 4
    assert survey.notes == [
        "3 images beside the class folders are left out, as no folder says the class: "
        "'3.gif', 'train/1.jpg' and 'train/2.PNG'"
    ]


def test_one_image_at_the_top_of_class_folders_is_told(tmp_path, fill):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "cover.jpg", "readme.md")
    assert sources.survey(folder(tmp_path)).notes == [
        "1 image beside the class folders is left out, as no folder says the class: 'cover.jpg'"
    ]


# Archives


WRAPPED = files("seg_train", "seg_test", inside="{part}/{part}/{label}/1.jpg")


@pytest.mark.parametrize(
    "paths, expected",
    [
        ([f"set/{name}" for name in WRAPPED], WRAPPED),
        (files("a/b/Training", "a/b/Testing"), files("Training", "Testing")),
        ([*files("set/X_train", "set/X_test"), "set/doc/1.txt"], files("X_train", "X_test")),
        (files("my_test_set"), ["cat/1.jpg", "dog/1.jpg"]),
    ],
)
def test_parts_in_archives(tmp_path, make_dataset, pack, paths, expected):
    archive = pack(tmp_path / "a.zip", *paths)
    survey = sources.fetch(make_dataset("archive", address=str(archive)), tmp_path / "d")
    assert sorted(survey.table["id"]) == sorted(expected)
    assert set(survey.table["label"]) == set(CLASSES)


def test_two_readings_in_an_archive(tmp_path, make_dataset, pack, mistake):
    address = str(pack(tmp_path / "a.zip", *(f"set/{name}" for name in YEARS)))
    given = make_dataset("archive", address=address)
    assert "two ways" in mistake(sources.fetch, given, tmp_path / "d")
    given = make_dataset("archive", address=address, classes="inner")
    listing = sources.fetch(given, tmp_path / "d").table
    assert listing["label"].tolist() == ["cat", "dog", "cat", "dog"]


def test_class_folders_of_folders_in_an_archive(tmp_path, make_dataset, pack, mistake):
    address = str(
        pack(tmp_path / "a.zip", "set/cat/p1/1.jpg", "set/cat/p2/1.jpg", "set/dog/p3/1.jpg")
    )
    given = make_dataset("archive", address=address)
    assert "does not tell where the classes are" in mistake(sources.fetch, given, tmp_path / "d")
    given = make_dataset("archive", address=address, classes="outer")
    assert set(sources.fetch(given, tmp_path / "d").table["label"]) == {"cat", "dog"}


def test_only_a_test_part_in_an_archive(tmp_path, make_dataset, pack, mistake):
    address = str(pack(tmp_path / "a.zip", *files("test")))
    text = mistake(sources.fetch, make_dataset("archive", address=address), tmp_path / "d")
    assert text.startswith("dataset.folder: ") and "no train part" in text
    given = make_dataset("archive", address=address, folder="test")
    assert len(sources.fetch(given, tmp_path / "d").table) == 2
