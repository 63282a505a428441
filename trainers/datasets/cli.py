"""`musewatch data`: data sets that can be read; whether a folder holds one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from pipeline.cli.common import ANSWER_IS_NO
from pipeline.output import JsonOption, console, print_json, say
from trainers.datasets.catalogue import LAYOUTS, find
from trainers.datasets.check import Part
from trainers.datasets.check import check as check_folder

app = typer.Typer(no_args_is_help=True, help="Public data sets and our world's crops, in a folder you have.")
UNITS = ("samples", "identities", "pictures")


@app.command("list")
def list_all(as_json: JsonOption = False) -> None:
    """Names the data sets, their searches, where the layout is published, and the terms of use."""
    if as_json:
        print_json(
            [
                {
                    "name": layout.name,
                    "title": layout.title,
                    "source": layout.source,
                    "counts": {split: asdict(count) for split, count in layout.counts.items()},
                    "counted_by": layout.counted_by,
                    "searches": {name: asdict(search) for name, search in layout.searches.items()},
                    "trials": layout.trials,
                    "terms": layout.terms,
                }
                for layout in LAYOUTS.values()
            ]
        )
        return
    for layout in LAYOUTS.values():
        typer.echo(f"{layout.name}: {layout.title}")
        for name, search in layout.searches.items():
            typer.echo(f"    {name}: {search.query} in {search.gallery}, rule {search.rule}")
        typer.echo(f"    layout: {layout.source}")
        typer.echo(f"    counts: {layout.counted_by}")
        typer.echo(f"    terms: {layout.terms}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which set; `musewatch data list` names them.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where it lies.")],
    as_json: JsonOption = False,
) -> int:
    """Compares a folder with a set as published: layout, missing files, counts; exit 1 when they differ."""
    layout = find(name)
    parts, problems = check_folder(layout, folder)
    if as_json:
        document = {"ok": not problems, "name": name, "problems": [asdict(problem) for problem in problems]}
        print_json({**document, "parts": [asdict(part) for part in parts], "counted_by": layout.counted_by})
    else:
        console().print(_table(layout.title, parts))
        typer.echo(f"published counts: {layout.counted_by}")
        for problem in problems:
            say(f"{problem.where}: {problem.problem}" + (f"\n    {problem.fix}" if problem.fix else ""))
        typer.echo("ok" if not problems else f"{len(problems)} problems")
    return ANSWER_IS_NO if problems else 0


def _table(title: str, parts: list[Part]) -> Table:
    """Found numbers, with the published ones behind them where there are any."""
    table = Table("split", *UNITS, title=f"{title}: found (published)")
    for part in parts:
        numbers = [(getattr(part.found, unit), getattr(part.published, unit)) for unit in UNITS]
        table.add_row(
            part.name, *(f"{here}" if there is None else f"{here} ({there})" for here, there in numbers)
        )
    return table
