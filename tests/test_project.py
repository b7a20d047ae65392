"""Promises about the project's own files."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "workflow/headstart"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
sys.path.insert(0, str(ROOT / "envs"))

import make as envs_make  # noqa: E402


@pytest.fixture
def project() -> dict:
    return PYPROJECT["project"]


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[<>=~! ]", requirement)[0] for requirement in requirements]


def test_the_conda_environment_has_the_lock_s_pins() -> None:
    expected = envs_make.environment(
        (ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text()
    )
    assert (ROOT / "envs/headstart.yaml").read_text() == expected


def test_the_container_has_the_lock_and_nothing_else() -> None:
    recipe = (ROOT / "envs/Containerfile").read_text().replace("\\\n", " ")
    steps = [line.split() for line in recipe.splitlines() if line and not line.startswith("#")]
    assert [step[0] for step in steps] == ["FROM", "COPY", "RUN", "ENV"]
    (base, copied, run, _) = steps
    python = re.search("python=(.*)", (ROOT / "envs/headstart.yaml").read_text())
    assert python and base[1].startswith(f"python:{python[1]}-")
    assert copied[1] == "requirements.lock"
    assert run.count("install") == 1 and "--require-hashes" in run
    installed = [word for word in run[run.index("install") + 1 :] if not word.startswith("--")]
    assert installed == ["/opt/headstart/requirements.lock"]


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[A-Za-z0-9._-]+==", lock, re.MULTILINE)
    assert len(pins) > 100 and lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock and "--index-url" not in lock and "--find-links" not in lock


def test_every_dependency_is_justified(project: dict) -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    for name in names(project["dependencies"]):
        assert re.search(rf"^\| {name} \|", text, re.MULTILINE), name
    for name in names(project["optional-dependencies"]["dev"]):
        assert name in text, name


def keys(schema: object) -> set[str]:
    """Names of all configuration keys in a schema."""
    if isinstance(schema, list):
        return {key for item in schema for key in keys(item)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema.get("properties", {}))
    return own | {key for value in schema.values() for key in keys(value)}


def test_every_configuration_key_is_explained() -> None:
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    text = (ROOT / "config/README.md").read_text()
    missing = sorted(key for key in keys(schema) if f"`{key}`" not in text)
    assert not missing


def test_rule_files_and_modules_stay_readable() -> None:
    for path in [*ROOT.glob("workflow/**/*.py"), *ROOT.glob("workflow/**/*.smk")]:
        limit = 150 if path.suffix == ".smk" else 300
        lines = len(path.read_text().splitlines())
        assert lines <= limit, f"{path} has {lines} lines"


def test_a_room_says_in_a_sentence_what_enters_and_what_leaves() -> None:
    rooms = [path.parent for path in LIBRARY.glob("*/**/__init__.py")]
    assert len(rooms) == 11
    for room in rooms:
        (statement,) = ast.parse((room / "__init__.py").read_text()).body
        assert isinstance(statement, ast.Expr), f"{room} holds more than its sentence"
        text = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
        assert text and re.fullmatch(r"[^.]+ enters?;[^.]+ leaves?\.", text), text


def test_pictures_are_opened_in_named_formats_only() -> None:
    """Of the others some start a program: EPS is handed to Ghostscript."""
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert "formats" in [keyword.arg for keyword in node.keywords], path


def test_the_picture_of_the_rooms_is_the_order_that_the_linter_holds() -> None:
    (layers, _) = PYPROJECT["tool"]["importlinter"]["contracts"]
    rooms = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    order = [layer for layer in reversed(layers["layers"]) if layer in rooms]
    picture = (ROOT / "docs/architecture.md").read_text()
    assert " --> ".join(order) in picture and set(order) == rooms


def test_each_rule_has_its_script_and_each_script_its_rule() -> None:
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    scripts = {path.stem for path in ROOT.glob("workflow/scripts/*.py")}
    names = set(re.findall(r"^rule (\w+):", rules, re.MULTILINE)) - {"all"}
    assert {name.removesuffix("_from_features").removesuffix("_from_images") for name in names} == (
        scripts
    )


def test_the_table_of_jobs_names_their_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(
        r"^\| (`.*`) \| `(.*smk)` \| `(.*)` \| `(.*)` \| `(.*)` \|$", text, re.MULTILINE
    )
    told = set()
    for jobs, rules, script, module, test in rows:
        names = re.findall(r"`(\w+)`", jobs)
        told |= set(names)
        source = (ROOT / "workflow/rules" / rules).read_text()
        assert all(re.search(rf"^(use )?rule .*\b{name}\b.*:$", source, re.M) for name in names)
        inherited = all(re.search(rf"^use rule \w+ as {n} with:$", source, re.M) for n in names)
        assert inherited or f'"../scripts/{script}"' in source
        assert (ROOT / "tests" / test).is_file()
        dotted = module.removesuffix(".py").split("/")
        imported = (ROOT / "workflow/scripts" / script).read_text()
        assert re.search(rf"from headstart.*\b{dotted[-1]}\b", imported), (script, module)
        assert LIBRARY.joinpath(*module.split("/")).is_file()
    everything = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    rules = r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:"
    assert told == set(re.findall(rules, everything, re.MULTILINE))


def test_no_two_test_files_have_one_name() -> None:
    """They are imported by their names alone: the second of two would not be run."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
