"""The library modules behind a script, as an input of its rule."""

import ast
import functools
import hashlib

CODE = Path("results/.code")


@functools.cache
def code(script):
    """A file with the digests of the library modules that a script imports, directly or not.

    It is written where they have changed, so an edit reruns the rule. One file for all of them, since
    some fifty inputs a job would be most of the memory of a large study's plan. Each
    __init__.py is left out: it holds no code, or the version, which changes no result.
    """
    pending, found = [WORKFLOW / "scripts" / f"{script}.py"], set()
    while pending:
        new = imported_modules(pending.pop()) - found
        found |= new
        pending += new
    digests = [
        f"{digest(path)}  {path.relative_to(WORKFLOW)}\n" for path in sorted(found)
    ]
    return written(CODE / f"{script}.txt", "".join(digests))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def written(path, text):
    """The path, once the file has this text; jobs of a run only read it."""
    if workflow.is_main_process and not (path.exists() and path.read_text() == text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(path)


@functools.cache
def imported_modules(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names |= {
                node.module,
                *(f"{node.module}.{alias.name}" for alias in node.names),
            }
    files = {
        WORKFLOW.joinpath(*name.split("."))
        for name in names
        if name.startswith("headstart")
    }
    modules = {file.with_suffix(".py") for file in files}
    return frozenset(path for path in modules if path.is_file())
