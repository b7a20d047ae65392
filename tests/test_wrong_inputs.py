"""Wrong inputs of every kind: one line with the file or key and the way out, and status 1."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from headstart import cli

Prepare = Callable[[], list[str]]

BASE = """\
experiment: tiny
dataset: {source: folder, path: images, split: {test: 0.25, val: 0.25}}
strategies:
  full: {init: pretrained, phases: [{train: all, epochs: 2, lr: 0.001}]}
"""
FULL = "  full: {init: random, phases: [{train: all, epochs: 3, lr: 0.1}]}\n"
ROWS = "".join(f"{label}/{n}.png,{label}\n" for label in ("cat", "dog") for n in range(12))
TABLE = {"file": "labels.csv", "image": "{path}", "label": "kind"}
CHECK = ["check", "mine.yaml"]


def bomb(first: str, line: Callable[[str], str]) -> str:
    """Nine anchors, each of which repeats the one before it ten times."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {line(f'*a{n - 1}')}" for n in range(1, 10)]
    return "\n".join(lines) + "\n"


def text(content: str | bytes) -> Prepare:
    """Check an experiment file of this content."""

    def prepare() -> list[str]:
        data = content.encode() if isinstance(content, str) else content
        Path("mine.yaml").write_bytes(data)
        return CHECK

    return prepare


def settings(**changes: object) -> Prepare:
    """Check the good experiment with some of its settings changed."""
    return text(yaml.safe_dump(yaml.safe_load(BASE) | changes))


def phase(**changes: object) -> Prepare:
    phases = [{"train": "all", "epochs": 2, "lr": 0.001} | changes]
    return settings(strategies={"full": {"init": "pretrained", "phases": phases}})


def named(name: str) -> Prepare:
    return settings(strategies={name: yaml.safe_load(BASE)["strategies"]["full"]})


def dataset(**changes: object) -> Prepare:
    return settings(dataset=changes)


def augmented(**transform: object) -> Prepare:
    return settings(augmentation=[transform], image={"size": 32})


def table(content: str | bytes, **changes: object) -> Prepare:
    """Check an experiment whose images stand in a table of this content."""

    def prepare() -> list[str]:
        data = content.encode() if isinstance(content, str) else content
        Path("images/labels.csv").write_bytes(data)
        return dataset(source="csv", path="images", table=TABLE | changes)()

    return prepare


def folder(name: str, *files: str) -> Prepare:
    """Check an experiment on a folder of these files."""

    def prepare() -> list[str]:
        for file in files:
            path = Path(name, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return dataset(source="folder", path=name)()

    return prepare


def command(*arguments: str) -> Prepare:
    return lambda: list(arguments)


def record(name: str, content: str) -> Prepare:
    """Predict with the finished run, a record of which has this content."""

    def prepare() -> list[str]:
        run = Path("results/tiny/runs/full/fraction-1.0/split-0/seed-0")
        good = {"strategy": "full", "fraction": 1.0, "split": 0, "seed": 0, "best_epoch": 1}
        files = {
            "results/tiny/classes.json": '["cat", "dog"]',
            "results/tiny/comparison/verdict.json": '{"leader": "full"}',
            f"{run}/run.json": json.dumps(good),
            f"{run}/history.csv": "epoch,val_accuracy,val_loss\n1,0.5,0.7\n",
            f"{run}/model.safetensors": "",
        }
        (key,) = [path for path in files if path.endswith(name)]
        for path, usual in (files | {key: content}).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(usual)
        return ["predict", "images/cat/0.png", "--experiment", "tiny"]

    return prepare


def packed(*members: str) -> Prepare:
    """Propose an experiment for an archive of these members."""

    def prepare() -> list[str]:
        with zipfile.ZipFile("pack.zip", "w") as archive:
            for member in members:
                archive.writestr(member, "")
        return ["init", "pack.zip", "--output", "new.yaml"]

    return prepare


LONG = "x" * 300
YAML: dict[str, tuple[Prepare, list[str]]] = {
    "a key twice": (text(BASE + FULL), ["mine.yaml:5: ", "'full' stands in line 4", "keep one"]),
    "a top key twice": (text(BASE + "experiment: b\n"), ["mine.yaml:5: ", "'experiment'"]),
    "a key twice in braces": (
        text(BASE + "image: {size: 32, size: 64}"),
        ["mine.yaml:5", "'size'"],
    ),
    "a number and a text alike": (text(BASE + "image: {1: a, '1': b}"), [":5: ", "'1' stands in"]),
    "two merges": (text(BASE + "image: {<<: {}, <<: {}}"), [":5: ", "'<<' stands in"]),
    "bomb of lists": (
        text(BASE + bomb("[x,x,x]", lambda a: f"[{','.join([a] * 10)}]")),
        ["mine.yaml:", "more than 100,000 values"],
    ),
    "bomb of mappings": (
        text(BASE + bomb("{x: 1}", lambda a: f"{{{','.join(f'k{k}: {a}' for k in range(10))}}}")),
        ["mine.yaml:", "more than 100,000 values"],
    ),
    "bomb of merges": (
        text(BASE + bomb("{x: 1}", lambda a: f"{{<<: [{','.join([a] * 10)}]}}")),
        ["mine.yaml:", "more than 100,000 values"],
    ),
    "mapping in itself": (text(BASE + "image: &i {size: *i}"), [":5: ", "*i stands within what"]),
    "list in itself": (text(BASE + "seeds: &s [*s]"), [":5: ", "*s stands within what"]),
    "merge of itself": (text(BASE + "image: &i {<<: *i}"), [":5: ", "*i stands within what"]),
    "nested lists": (
        text(BASE + f"seeds: {'[' * 4000}{']' * 4000}"),
        [":5: ", "more than 50 deep"],
    ),
    "nested mappings": (text(BASE + f"a: {'{a: ' * 900}1{'}' * 900}"), [":5: ", "50 deep"]),
    "400 digits": (text(BASE + f"seeds: [{'9' * 400}]"), [":5: ", "a number of 400 characters"]),
    "5,000 digits": (text(BASE + f"seeds: [{'9' * 5000}]"), [":5: ", "of 5,000 characters"]),
    "400 digits of a fraction": (
        text(BASE + f"fractions: [0.{'9' * 400}]"),
        [":5: ", "characters"],
    ),
    "no such day": (text(BASE + "report: {title: 2024-13-45}"), [":5: ", "is no timestamp"]),
    "a tagged text": (text(BASE + "seeds: [!!int one]"), [":5: ", "'one' is no int"]),
    "a Python object": (
        text(BASE + "a: !!python/object:os.system [ls]"),
        [":5: ", "python/object"],
    ),
    "a template": (text(BASE + "__use_yte__: true"), ["mine.yaml: ", "write the values out"]),
    "NUL": (text(BASE + 'image: {interpolation: "a\\0"}'), [":5: ", "a NUL character"]),
    "a bare NUL": (text(BASE + "a: \0"), ["mine.yaml: not valid YAML", "unacceptable character"]),
    "an alias of nothing": (text(BASE + "seeds: *x"), [":5: ", "undefined alias"]),
    "a bracket too few": (text(BASE + "seeds: [1\nfractions: [1.0]"), [":6: not valid YAML"]),
    "a tab": (text(BASE + "\tseeds: [1]"), ["mine.yaml:", "not valid YAML", "'\\t'"]),
    "two documents": (text(BASE + "---\n" + BASE), [":5: ", "another document"]),
    "a list": (text("- a\n"), ["mine.yaml: holds no settings", "config/README.md"]),
    "nothing": (text(""), ["mine.yaml: holds no settings"]),
    "Latin-1": (text(BASE.encode() + b"report: {title: \xe9t\xe9}"), ["mine.yaml: is not UTF-8"]),
    "a file of 2 MiB": (text("#" * (2 << 20)), ["mine.yaml: has more than 1 MiB"]),
    "no file": (command("check", "nowhere.yaml"), ["nowhere.yaml: cannot be read", "give"]),
    "a folder": (command("check", "images"), ["images: cannot be read (Is a directory)", "give"]),
}
NAMES: dict[str, tuple[Prepare, list[str]]] = {
    "a last newline": (
        settings(experiment="tiny\n"),
        [": experiment is 'tiny\\n', but must match"],
    ),
    "a strategy's last newline": (named("full\n"), [": strategies is 'full\\n', but must match"]),
    "a set's last newline": (settings(tests={"a\n": "images"}), [": tests is 'a\\n', but must"]),
    "300 characters": (
        settings(experiment=LONG),
        [": experiment is 'xxx", "at most 64 characters"],
    ),
    "a strategy of 300": (named(LONG), [": strategies is 'xxx", "at most 64 characters"]),
    "a set of 300": (settings(tests={LONG: "images"}), [": tests is 'xxx", "at most 64"]),
    "the store": (settings(experiment="mlflow"), [": experiment is 'mlflow', but must not be"]),
    "the downloads": (
        settings(experiment="downloads"),
        ["experiment is 'downloads', but must not"],
    ),
    "up and out": (settings(experiment="../tiny"), [": experiment is '../tiny', but must match"]),
    "not a number": (named("nan"), [": strategies is 'nan', but must not be nan or null"]),
    "null": (named("null"), [": strategies is 'null', but must not be"]),
    "true": (named("true"), [": strategies is 'true', but must not be"]),
    "infinity": (named("inf"), [": strategies is 'inf', but must not be"]),
    "null as YAML has it": (text(BASE.replace("full:", "null:")), [": strategies is 'None', but"]),
    "a derived one": (
        settings(derived={"nan": {"kind": "ensemble", "of": "full"}}),
        [": derived is 'nan', but must not be"],
    ),
}
VALUES: dict[str, tuple[Prepare, list[str]]] = {
    "a fraction under 1e-4": (
        settings(fractions=[1e-5]),
        ["fractions[0] is 1e-05", "at least 0.0001"],
    ),
    "stages beyond": (
        phase(train="last_k_stages", stages=99),
        ["phases[0].stages is 99, but tf_efficientnet_lite0 has 8 stages", "take fewer"],
    ),
    "misspelt weights": (
        settings(backbone={"weights": "defualt"}),
        ["backbone.weights is 'defualt', which", "take default, none or the path"],
    ),
    "misspelt weights of torchvision": (
        settings(backbone={"library": "torchvision", "name": "resnet18", "weights": "IMAGENET"}),
        ["backbone.weights is 'IMAGENET', which", "take default, none, IMAGENET1K_V1"],
    ),
    "no weights": (
        settings(backbone={"weights": "a" * 5000 + ".pt"}),
        ["backbone.weights is ", "not a file"],
    ),
    "a crop beyond the image": (
        augmented(name="random_resized_crop", scale=[0.5, 2.0]),
        ["augmentation[0].scale[1] is 2.0", "at most 1"],
    ),
    "a crop of no width": (
        augmented(name="random_resized_crop", ratio=[0.001, 1.0]),
        ["augmentation[0].ratio[0] is 0.001", "at least 0.1"],
    ),
    "padding beyond the image": (
        augmented(name="random_crop", padding=32),
        ["augmentation[0].padding is 32, but must be less than", "images, 32"],
    ),
    "padding beyond any image": (
        augmented(name="random_crop", padding=5000),
        ["augmentation[0].padding is 5000", "at most 1023"],
    ),
    "a centre crop of nothing": (
        settings(image={"crop_pct": 0.001}),
        ["image.crop_pct is 0.001", "at least 0.1"],
    ),
    "an infinite rate": (phase(lr=float("inf")), ["phases[0].lr is inf", "must be of type number"]),
    "a key of two lines": (settings(**{"a\nb": 1}), ["b is not a known key; allowed"]),
}
DATA: dict[str, tuple[Prepare, list[str]]] = {
    "a carriage return": (
        folder("returns", "cat/1.png", "cat/a\rb.png", "dog/1.png"),
        ["dataset.path: ", "'returns/cat/a\\rb.png' holds a carriage return", "rename it"],
    ),
    "a class with one": (
        folder("classes", "cat/1.png", "d\rg/1.png"),
        ["dataset.path: ", "holds a carriage return", "rename it"],
    ),
    "no folder": (folder("empty"), ["dataset.path: empty does not exist; give a folder"]),
    "a very long folder": (folder(LONG), ["dataset.path: xxx", "does not exist; give a folder"]),
    "a folder of thousands": (
        dataset(source="folder", path="a/" * 3000),
        ["dataset.path: a/a/", "does not exist; give a folder"],
    ),
    "no such home": (folder("~nobody9/x"), ["dataset.path: ~nobody9/x does not exist"]),
    "a file": (dataset(source="folder", path="mine.yaml"), ["dataset.path: mine.yaml is a file"]),
    "one class": (folder("single", "cat/1.png"), ["found only one class, 'cat'", "give at least"]),
    "a long archive": (
        dataset(source="archive", address="a" * 5000),
        ["dataset.address: aaa", "does not exist; give the path of an archive"],
    ),
    "an unknown scheme": (
        dataset(source="archive", address="gopher://a/b.zip"),
        ["dataset.address: gopher://a/b.zip cannot be fetched; give an http://"],
    ),
    "a table that is not there": (
        table("", file="nowhere.csv"),
        ["dataset.table.file: nowhere.csv is not in images"],
    ),
    "a table's long name": (table("", file=LONG), ["dataset.table.file: xxx", "is not in images"]),
    "NUL in a table": (
        table("path,kind\n" + ROWS + "ca\0t.png,cat\n"),
        ["dataset.table.file: line 26 of labels.csv holds a NUL character", "remove it"],
    ),
    "a repeated header": (
        table("path,kind,kind\n" + ROWS.replace("\n", ",x\n")),
        ["dataset.table.file: the header of labels.csv has the column 'kind' twice", "rename one"],
    ),
    "a repeated header but for blanks": (
        table("path, path ,kind\n" + ROWS.replace(",", ",x,")),
        ["dataset.table.file: ", "has the column 'path' twice"],
    ),
    "repeated names of columns": (
        table(ROWS, columns=["path", "path"]),
        ["dataset.table.columns: it has the column 'path' twice"],
    ),
    "a column that is not there": (
        table("file,kind\n" + ROWS),
        ["dataset.table.image: no column 'path' in labels.csv; there are file, kind"],
    ),
    "an empty table": (table(""), ["dataset.table.file: labels.csv is empty; give a table"]),
    "a row too long": (
        table("path,kind\n" + ROWS + "a,b,c\n"),
        ["dataset.table.file: line 26 of labels.csv has 3", "correct the line"],
    ),
    "an open quotation mark": (
        table("path,kind\n" + ROWS + '"cat/0.png,cat\n'),
        ["dataset.table.file: line 26 of labels.csv opens a quotation mark", 'write ""'],
    ),
    "a spreadsheet": (table(b"PK\x03\x04 and more"), ["labels.csv is a spreadsheet", "as CSV"]),
    "paths that lead out": (
        table("path,kind\n" + ROWS, image="../{path}"),
        ["dataset.table.image: labels.csv lists '../cat/0.png', which is outside", "below it"],
    ),
    "an image twice": (
        table("path,kind\n" + ROWS + "cat/0.png,cat\n"),
        ["dataset.table lists 'cat/0.png' twice; keep one row"],
    ),
    "a label that is no number": (
        table("path,kind\n" + ROWS, threshold={"at": 1, "below": "a", "otherwise": "b"}),
        ["dataset.table.threshold: 'kind' holds 'cat', which is no number"],
    ),
    "a group's expression": (
        dataset(source="folder", path="images", group="(a"),
        ["dataset.group: '(a' is no regular expression", "correct it"],
    ),
    "a class that no model knows": (
        lambda: folder("field", "emu/1.png")() and settings(tests={"field": "field"})(),
        ["tests.field has 'emu', which no model knows", "rename"],
    ),
}
COMMANDS: dict[str, tuple[Prepare, list[str]]] = {
    "init of nothing": (command("init", "nowhere"), ["nowhere does not exist; give a folder"]),
    "init of a long name": (command("init", LONG + ".csv"), ["does not exist; give a folder"]),
    "init of no archive": (
        lambda: Path("no.zip").write_text("no") and ["init", "no.zip"],
        ["dataset.address: no.zip is neither a zip nor a tar archive"],
    ),
    "init where one is": (
        command("init", "images", "--output", "images"),
        ["images exists already; give another name with --output"],
    ),
    "init into nowhere": (
        command("init", "images", "--output", "no/where.yaml"),
        ["no/where.yaml cannot be written", "give another name with --output"],
    ),
    "an archive that leads out": (
        packed("cat/1.png", "../dog/1.png"),
        ["dataset.address: pack.zip holds '../dog/1.png'", "do not trust"],
    ),
    "an override of two keys": (
        lambda: [*text(BASE)(), "--config", "image={size: 32, size: 64}"],
        ["--config image={size: 32, size: 64}: the value is not valid YAML"],
    ),
    "an override without value": (
        lambda: [*text(BASE)(), "--config", "seeds"],
        ["--config seeds: give it as key=value"],
    ),
    "predict nothing": (command("predict", ""), ["IMAGE is empty; give an image file or a folder"]),
    "predict without a study": (
        command("predict", "images", "--experiment", "none"),
        ["no experiment 'none' under results/"],
    ),
    "a run that is cut off": (
        record("run.json", '{"strategy": "fu'),
        ["seed-0/run.json is damaged", "delete it and run snakemake again"],
    ),
    "a run without a seed": (
        record("run.json", '{"strategy": "full", "fraction": 1.0}'),
        ["seed-0/run.json is damaged ('split')", "run snakemake again"],
    ),
    "a history that is cut off": (
        record("history.csv", "epoch,val_acc"),
        ["seed-0/history.csv is damaged", "run snakemake again"],
    ),
    "a verdict that is cut off": (
        record("verdict.json", '{"lea'),
        ["results/tiny/comparison/verdict.json is damaged", "run snakemake again"],
    ),
}
KINDS = {"yaml": YAML, "names": NAMES, "values": VALUES, "data": DATA, "commands": COMMANDS}
WRONG = {f"{kind}: {name}": row for kind, rows in KINDS.items() for name, row in rows.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of two classes."""
    home = tmp_path_factory.mktemp("home")
    for label in ("cat", "dog"):
        (home / "images" / label).mkdir(parents=True)
        for number in range(12):
            picture = Image.new("RGB", (20, 20), (number * 20, len(label) * 40, 0))
            picture.save(home / "images" / label / f"{number}.png")
    return home


def test_the_table_is_long_enough_and_what_it_changes_is_good(home, monkeypatch, capsys):
    assert len(WRONG) >= 60
    monkeypatch.chdir(home)
    text(BASE)()
    monkeypatch.setattr(cli, "_dry_run", lambda *_: 0)  # which needs a checkout
    assert cli.main(CHECK) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_is_one_line_that_names_it_and_the_way_out(home, monkeypatch, capsys, name):
    monkeypatch.chdir(home)
    prepare, told = WRONG[name]
    arguments = prepare()
    assert cli.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1, captured.err[:2000]
    assert captured.err.startswith("error: ") and "Traceback" not in captured.err
    assert captured.err[:-1].isprintable() and os.fsencode(captured.err)
    assert [part for part in told if part not in captured.err] == [], captured.err[:2000]
