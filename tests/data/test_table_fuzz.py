"""Tables of any content: rows whose paths and labels stand there, or one line."""

import csv
import io
import shutil
from pathlib import Path

import pytest
from fuzzing import amount, folder, only_own_errors
from hypothesis import given
from hypothesis import strategies as st

from headstart.data import guesses, sources
from headstart.experiment.config import Dataset, Join, Part, Table, Threshold

pytestmark = pytest.mark.fuzz

IMAGES = ["a.jpg", "b.jpg", "b.png", "deep/c.jpg", "deep/Käse.png"]
CELLS = [
    *IMAGES,
    "cat",
    "dog",
    "path",
    "kind",
    "part",
    "0.5",
    "nan",
    "",
    " ",
    "train",
    "yes",
    "../a",
]
cells = st.sampled_from(CELLS) | st.text(max_size=4)
names = st.sampled_from(["path", "kind", "part", "", "Unnamed: 1", "path "]) | st.text(max_size=3)
separators = st.sampled_from([",", "\t", ";", " "])
columns = st.none() | st.lists(names, max_size=4).map(tuple)
kinds = st.sampled_from(["comma", "tab", "semicolon", "whitespace"])


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """What spreadsheets and people write, well and badly; perhaps in another encoding."""
    width = draw(st.integers(1, 4))
    header = draw(st.sampled_from([["path", "kind", "part"], ["path", "kind"]]) | st.lists(names))
    lines = st.lists(cells, min_size=width, max_size=width) | st.lists(cells, max_size=5)
    good = st.tuples(st.sampled_from(IMAGES), st.sampled_from(["cat", "dog"])).map(list)
    rows = draw(st.lists(good | lines, max_size=6))
    out = io.StringIO()
    csv.writer(out, delimiter=draw(separators), escapechar="\\").writerows([header, *rows])
    data = out.getvalue().encode(draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"])), "ignore")
    return data + draw(st.sampled_from([b"", b"", b'"', b"\0", b"\xff", b"a\rb", b"\n\n,,"]))


tablesettings = st.builds(
    Table,
    file=st.just("labels.csv"),
    separator=st.just("comma") | kinds,
    columns=st.none() | columns,
    image=st.sampled_from(["{path}", "{path}", "deep/{path}.jpg", "{}", "{path}{", "x"])
    | st.text("{}path/.", min_size=1),
    label=st.just("kind") | names,
    threshold=st.none() | st.builds(Threshold, st.floats(), st.just("low"), st.just("high")),
    join=st.just(())
    | st.tuples(st.builds(Join, st.sampled_from(["labels.csv", "more.csv"]), kinds, columns)),
    part=st.none()
    | st.builds(
        Part,
        st.just("part") | names,
        st.dictionaries(cells, st.sampled_from(["train", "val", "test"]), min_size=1, max_size=3),
    ),
)


def written(root: Path, data: bytes, more: bytes) -> None:
    for name in IMAGES:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "labels.csv").write_bytes(data)
    (root / "more.csv").write_bytes(more)


@amount(140)
@given(tables() | st.binary(), tables(), tablesettings, st.none() | cells.filter(bool))
def test_any_table(data, more, table, group):
    with folder() as root, only_own_errors():
        written(root, data, more)
        dataset = Dataset("csv", path=str(root), table=table, group=group)
        survey = sources.survey(dataset)
        sources.fingerprint(dataset)
        assert survey.table["id"].is_unique and (survey.table["label"] != "").all()
        assert all(Path(path).is_relative_to(root) for path in survey.table["path"])
        assert all(len(f"{note}.".splitlines()) == 1 for note in survey.notes)


@amount(60)
@given(tables() | st.binary())
def test_a_guess_at_any_table(data):
    with folder() as root, only_own_errors():
        written(root, data, b"")
        found = guesses.guess(root, IMAGES)
        assert found is None or found.matched <= found.rows
        shutil.rmtree(root / "deep")
