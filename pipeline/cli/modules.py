"""Modules read without importing them: what they say of themselves, and the libraries they need."""

import ast
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def summary(module: str) -> str:
    """What the first line of a module's docstring says behind its colon, as a line of help; empty without one.

    Raises:
        SyntaxError: It is no Python.
    """
    tree = _tree(module)
    line = (ast.get_docstring(tree) or "").partition("\n")[0] if tree else ""
    name, colon, rest = line.partition(": ")
    text = rest if colon and name.startswith("`") else line
    return text[:1].upper() + text[1:]


def missing_library(module: str) -> str | None:
    """The first thing that a module imports at its top and that is not there; nothing is imported to see it.

    Raises:
        SyntaxError: It is no Python.
    """
    if _spec(module) is None:
        return module
    tree = _tree(module)
    if tree is None:
        return None
    return next((name for name in _imported(tree) if _spec(name.partition(".")[0]) is None), None)


def _tree(module: str) -> ast.Module | None:
    spec = _spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _imported(tree: ast.Module | ast.With) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.With):
            yield from _imported(node)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError):
        return None
