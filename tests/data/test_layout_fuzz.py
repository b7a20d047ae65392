"""Layouts of any kind: either one line, or classes that are neither parts nor junk."""

import re
import unicodedata
from pathlib import Path

import pytest
from fuzzing import amount, folder
from hypothesis import given
from hypothesis import strategies as st

from headstart import HeadstartError
from headstart.data import names, sources
from headstart.experiment import config

pytestmark = pytest.mark.fuzz

PART_WORDS = ["train", "Training", "tr", "val", "VALID", "dev", "eval", "test", "Testing"]
JUNK = ["@eaDir", "#recycle", ".git", "Thumbs.db", "__MACOSX", "$RECYCLE.BIN", ".DS_Store"]
PLAIN = ["cat", "dog", "Käse", unicodedata.normalize("NFD", "Käse"), "test_tube", "toy train"]

odd_names = st.text("aB1 ._-#![*\\é\u0301ßſ猫🧀\n\r\x1e\u2028\xa0", min_size=1, max_size=5).filter(
    lambda name: name not in (".", "..")
)
part_names = st.builds(
    lambda before, word, after: before + word + after,
    st.sampled_from(["", "", "X_", "seg-"]),
    st.sampled_from(PART_WORDS).flatmap(lambda w: st.sampled_from([w, w.upper(), w.title()])),
    st.sampled_from(["", "", "_images", "Set", "2"]),
)
folder_names = part_names | st.sampled_from(PLAIN + JUNK) | odd_names
file_names = st.sampled_from(["1.jpg", "2.PNG", "a_mask.png", "a.png", "note.txt", *JUNK])
leaves = st.lists(file_names, max_size=3, unique=True).map(dict.fromkeys)


def level(inside: st.SearchStrategy, folders: st.SearchStrategy = folder_names):
    """A folder, as names of files (None) and of folders (what they hold)."""
    deeper = st.dictionaries(folders, inside, max_size=4)
    return st.builds(lambda files, rest: files | rest, leaves, deeper)


any_trees = level(st.recursive(leaves, level, max_leaves=8))


@st.composite
def likely_trees(draw):
    """Parts that hold mostly the same classes, perhaps in a folder of their own, among junk."""
    labels = draw(st.lists(st.sampled_from(PLAIN) | odd_names | part_names, min_size=2, max_size=3))
    tree = dict(draw(leaves))
    for part in draw(st.lists(part_names, min_size=1, max_size=3, unique=True)):
        kept = [label for label in labels if draw(st.integers(0, 9))]
        holder = {label: {"1.jpg": None} | draw(leaves) for label in kept}
        holder |= draw(st.sampled_from([{}, {}, {JUNK[0]: {"cat": {"1.jpg": None}}}]))
        tree[part] = {part: holder} if draw(st.integers(0, 4)) == 0 else holder | draw(leaves)
    return tree | draw(st.sampled_from([{}, {}, {"doc": {}}, tree.get("train", {})]))


def write(tree: dict, root: Path) -> None:
    """Make the folders and empty files of a tree; a name that is taken is left as it is."""
    for name, inside in tree.items():
        path = root / name
        if path.exists():
            continue
        if inside is None:
            path.touch()
        else:
            path.mkdir()
            write(inside, path)


def examine(tree: dict, **dataset: object) -> None:
    """Survey a tree, and check what is promised of any survey."""
    with folder() as root:
        try:
            write(tree, root)
            survey = sources.survey(config.Dataset("folder", path=str(root), **dataset))
            images = {
                path.relative_to(root).as_posix() for path in root.rglob("*") if is_seen(path, root)
            }
        except HeadstartError as error:
            assert len(str(error).splitlines()) == 1, str(error)
            return
    unlisted = images - set(survey.table["id"])
    assert "exclude" in dataset or len(unlisted) == told_beside(survey.notes)
    for row in survey.table.itertuples():
        *folders, name = row.id.split("/")
        assert not any(map(names.is_junk, [*folders, name]))
        assert row.label == unicodedata.normalize("NFC", row.label)
        assert row.label in map(names.label, folders)
        assert not names.is_junk(row.label)
        if names.exact_part(row.label):  # a class called train, say, within a part or a class
            assert len(folders) > 1 and names.label(folders[-1]) == row.label
    assert survey.table["label"].nunique() > 1
    parts = set(survey.table["split"])
    assert "" not in parts or len(parts) == 1
    assert all(map(names.part, parts - {""}))
    assert all(len(note.splitlines()) == 1 for note in survey.notes)


def is_seen(path: Path, root: Path) -> bool:
    """Whether a path is that of an image that no junk holds or is."""
    return names.is_image(path.name) and not any(map(names.is_junk, path.relative_to(root).parts))


def told_beside(notes: list[str]) -> int:
    """How many images a note says to lie beside the class folders."""
    told = [re.match(r"(\d+) images? beside", note) for note in notes]
    return sum(int(found[1]) for found in told if found)


@amount(60)
@given(any_trees)
def test_any_tree(tree):
    examine(tree)


@amount(90)
@given(likely_trees(), st.sampled_from([{}, {"classes": "inner"}, {"classes": "outer"}]))
def test_trees_of_parts_and_classes(tree, dataset):
    examine(tree, **dataset)


@amount(50)
@given(
    likely_trees(), st.lists(folder_names | st.sampled_from(["*.png", "!cat", "/x/"]), max_size=2)
)
def test_trees_with_patterns(tree, lines):
    examine(tree, exclude=tuple(lines))
