"""`musewatch engines fetch`: a public engine from its publisher, by digest, converted, with a manifest."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import ManifestError
from engines.fetch.catalogue import Catalogue, Entry, load_catalogue
from engines.shelf import open_shelf
from engines.table import print_table
from pipeline.output import JsonOption, print_json, say


def fetch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Engine or set of the catalogue; `real` = the pair we recommend."
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Shows the catalogue, fetches nothing.")] = False,
    given: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A file or folder already here, instead of the network; repeatable.",
        ),
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You may use the engine under its narrower terms.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", metavar="FILE", help="Config whose data_dir holds the engines."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetches a public engine from its publisher, checks its digest, converts and tries it, keeps it by its name."""
    catalogue = load_catalogue()
    if list_:
        _show(catalogue, as_json)
        return
    if name is None:
        raise ManifestError("which engine?", "give a NAME, or --list")
    from engines.fetch.fetch import fetch as bring

    shelf, done = open_shelf(config), []
    for entry in catalogue.find(name):
        _say_terms(entry, given)
        done.append(bring(entry, shelf, given or (), accept_terms))
    lines = [each.entry.line() for each in done]
    if as_json:
        engines = [
            {
                **_described(each.entry),
                "new": each.new,
                "digest": each.manifest.digest,
                "provenance": each.manifest.provenance,
                "manifest": str(each.path),
            }
            for each in done
        ]
        print_json({"engines": engines, "config": lines})
        return
    for each in done:
        say(f"{each.entry.name} is {'now' if each.new else 'already'} {each.path}")
    sys.stdout.write("\n".join(lines) + "\n")


def _say_terms(entry: Entry, given: list[Path] | None) -> None:
    """What is about to be fetched, from whom, and under which licences."""
    licences = entry.licences
    origin = "files given" if given else f"{entry.size / 1e6:.1f} MB, {entry.files[0].url}"
    say(f"{entry.name}: {entry.about}; {origin}")
    say(f"  by {entry.publisher}")
    say(
        f"  licence of the code {licences.code}, of the weights {licences.weights}; trained on {licences.data}"
    )
    if entry.terms:
        say(f"  terms: {entry.terms}")


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "role": entry.role,
        "about": entry.about,
        "publisher": entry.publisher,
        "bytes": entry.size,
        "licence": entry.licences.model_dump(),
        "terms": entry.terms,
        "measured": entry.measured,
        "files": [file.model_dump(exclude_none=True) for file in entry.files],
        "config": entry.line(),
    }


def _show(catalogue: Catalogue, as_json: bool) -> None:
    if as_json:
        print_json({"engines": [_described(entry) for entry in catalogue.engines], "sets": catalogue.sets})
        return
    rows = [
        {
            "name": entry.name,
            "role": entry.role,
            "MB": f"{entry.size / 1e6:.1f}",
            "licence": entry.licences.weights,
            "terms": "to be accepted" if entry.terms else None,
            "about": entry.about,
        }
        for entry in catalogue.engines
    ]
    print_table(("name", "role", "MB", "licence", "terms", "about"), rows)
    for name, members in catalogue.sets.items():
        sys.stdout.write(f"{name} = {' + '.join(members)}\n")
