"""The library modules behind a script, as inputs of its rule."""

import ast
import functools


def code(script):
    """The library modules that a script imports, directly or not: an edit reruns its rule.

    Each __init__.py is left out: it holds no code, or the version, which changes no result.
    """
    pending, found = [WORKFLOW / "scripts" / f"{script}.py"], set()
    while pending:
        new = imported_modules(pending.pop()) - found
        found |= new
        pending += new
    return sorted(str(path) for path in found)


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
