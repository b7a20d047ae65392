"""Delimited text: every encoding and separator that people have, and the line of a mistake."""

import codecs
import csv
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from headstart.data import delimited
from headstart.experiment import config

TEXT = "name,kind\nKäse,Straße\nb,苹果\n"
ROWS = [["Käse", "Straße"], ["b", "苹果"]]


@pytest.fixture
def read(tmp_path: Path) -> Callable:
    """The rows, the columns and the notes of a file of these bytes."""

    def make(data: bytes | str, separator: str = "comma", columns: tuple[str, ...] | None = None):
        data = data.encode() if isinstance(data, str) else data
        (tmp_path / "t.csv").write_bytes(data)
        join = config.Join("t.csv", separator, columns)
        frame, notes = delimited.read(tmp_path, join, "dataset.table", {"name"})
        return frame.to_numpy().tolist(), frame.columns.tolist(), notes

    return make


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
    ],
)
def test_unicode_of_every_kind_is_read_without_a_note(read, data):
    assert read(data) == (ROWS, ["name", "kind"], [])


@pytest.mark.parametrize(
    "codec, name, extra",
    [("cp1252", "Windows-1252", "€"), ("latin-1", "Latin-1", "\x81")],
)
def test_western_text_is_read_with_a_note(read, codec, name, extra):
    rows, _, (note,) = read(f"name,kind\nKäse,Straße{extra}\n".encode(codec))
    assert rows == [["Käse", f"Straße{extra}"]]
    assert "t.csv is not UTF-8" in note and name in note and "\n" not in note


@pytest.mark.parametrize(
    "data, separator",
    [
        ('name,kind\n"a, b", x y \n', "comma"),
        ('name, kind\n "a, b" ,x y\n', "comma"),
        ("name;kind\na, b;x y\n", "semicolon"),
        ("name\tkind\na, b\tx y\n", "tab"),
        (' name \t kind\n\n"a, b"   "x y"\t\n', "whitespace"),
        ('name,kind\n\n"a, b",x y\n,\n \n', "comma"),  # blank lines, as spreadsheets leave them
        ('name,kind,\n"a, b",x y\n', "comma"),
        ('name,kind\n"a, b",x y,,\n', "comma"),
    ],
)
def test_separators_and_blanks(read, data, separator):
    rows, columns, notes = read(data, separator)
    assert [row[:2] for row in rows] == [["a, b", "x y"]]
    assert columns[:2] == ["name", "kind"] and not notes


def test_a_nameless_column_keeps_its_place(read):
    """As in what pandas writes together with its index."""
    assert read(",name\n0,a\n1,b\n")[:2] == ([["0", "a"], ["1", "b"]], ["Unnamed: 0", "name"])


@pytest.mark.parametrize(
    "data, words",
    [
        ("name,kind\na,x\nb,y,z\n", ["file: line 3 of t.csv has 3 comma-", "2 columns"]),
        ("name,kind\na\nb,y\n", ["file: line 2 of t.csv has 1 comma-", "2 columns"]),
        ('name,kind\n"a\nb",x\nc,y,z\n', ["file: line 4 of t.csv has 3"]),
        ("name,kind,name\na,x,b\n", ["file: the header of t.csv", "'name' twice"]),
        ("name,kind\na,x\nb\0.jpg,y\n", ["file: line 3 of t.csv", "NUL", "b\\x00.jpg"]),
        ('name,kind\na,"x\nb,y\n', ["file: line 2 of t.csv", "quotation mark"]),
        ('name,kind\na,x\n"b,y', ["file: line 3 of t.csv", "quotation mark"]),
        (b"PK\x03\x04\x14\0\0", ["file: t.csv is a spreadsheet", "save it as CSV"]),
        (codecs.BOM_UTF16_LE + b"n\0a\0m", ["file: t.csv", "utf-16", "save it as UTF-8"]),
        ("\n , \n", ["file: t.csv is empty"]),
        ("a.jpg,1,1\nb.jpg,0,0\n", ["columns: t.csv has no header", "'a.jpg'", "3 columns"]),
    ],
)
def test_the_real_culprit_is_named(read, mistake, data, words):
    told = mistake(read, data)
    assert told.startswith(f"dataset.table.{words[0]}"), told
    assert all(word in told for word in words), told


def test_given_columns_must_fit(read, mistake):
    assert read("a,x\nb,y\n", columns=("name", "kind"))[0] == [["a", "x"], ["b", "y"]]
    told = mistake(lambda: read("a,x\n", columns=("name", "kind", "set")))
    assert told.startswith("dataset.table.columns: it names 3 columns, but t.csv has 2 when comma")
    told = mistake(lambda: read("a,x\nb\n", columns=("name", "kind")))
    assert told.startswith("dataset.table.file: line 2 of t.csv has 1 comma-separated cell")
    told = mistake(lambda: read("a,x\n", columns=("name", "name")))
    assert told.startswith("dataset.table.columns: it has the column 'name' twice")


@pytest.mark.parametrize("seed", range(20))
def test_what_a_writer_writes_is_read_back(read, seed):
    """Against Python's own writer, with cells of quotation marks, commas and line breaks."""
    draw = random.Random(seed)
    cells = [
        ["".join(draw.choices('a"," \n;ä', k=draw.randint(0, 6))) for _ in "123"] for _ in "12345"
    ]
    rows = [["x", *row] for row in cells]
    out = io.StringIO()
    csv.writer(out).writerows([["name", "b", "c", "d"], *rows])
    assert read(out.getvalue())[0] == [[cell.strip() for cell in row] for row in rows]
