"""`musewatch plugins`: what is installed for each role."""

import ast
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.errors import ConfigError
from pipeline.output import JsonOption, console, print_json
from pipeline.registry import ROLES, known


def command(
    what: Annotated[str, typer.Argument(help="list")] = "list",
    json: JsonOption = False,
) -> None:
    """List the plugins of every role, ours and other people's, and what they lack."""
    if what != "list":
        raise ConfigError(f"plugins {what!r} is no command", "musewatch plugins list")
    rows = [describe(role, name) for role in ROLES for name in known(role)]
    if json:
        print_json({"plugins": rows})
        return
    table = Table("role", "name", "package", "", box=None)
    for row in rows:
        table.add_row(row["role"], row["name"], row["package"], row["problem"] or "")
    console().print(table)


def describe(role: str, name: str) -> dict[str, Any]:
    """One plugin: role, name, package, where its code is, and why it cannot be loaded (or None)."""
    point = known(role)[name]
    missing = missing_library(point.module)
    package = point.dist.name if point.dist else ""
    problem = f"{missing} is not installed" if missing else None
    return {"role": role, "name": name, "package": package, "value": point.value, "problem": problem}


def missing_library(module: str) -> str | None:
    """The first thing that a module imports at its top and that is not there; nothing is imported to see it."""
    spec = _spec(module)
    if spec is None:
        return module
    if spec.origin is None or not spec.origin.endswith(".py"):
        return None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return next((name for name in _imported(tree) if _spec(name.partition(".")[0]) is None), None)


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
