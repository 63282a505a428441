"""`musewatch plugins`: what is installed for each role."""

from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.modules import missing_library
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
