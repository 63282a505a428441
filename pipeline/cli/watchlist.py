"""`musewatch watchlist`: who is looked for: enrol, show, remove, exchange."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from pipeline.cli.common import ConfigOption, config_of
from pipeline.cli.watchlist_add import ManyImages, add, enrolments_text
from pipeline.desk.desk import open_desk
from pipeline.output import JsonOption, console, print_json, say
from pipeline.watchlist.exchange import Listing
from pipeline.watchlist.records import Enrolment, Identity, document_of
from pipeline.watchlist.validity import in_utc

app = typer.Typer(
    no_args_is_help=True, help="Who is looked for: add, list, show, remove, export, import, publish."
)

app.command("add", cls=ManyImages)(add)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the identity.")]


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists everyone.

    JSON: {"version", "identities": [{"id", "name", "purpose", "valid_until", "valid", "created_at",
    "enrolments": COUNT}]}.
    """
    with open_desk(config_of(config)) as desk:
        roll = desk.roll()
    if as_json:
        rows = [_document(each.identity) | {"enrolments": len(each.enrolments)} for each in roll.entries]
        print_json({"version": roll.version, "identities": rows})
        return
    table = Table(
        *(Column(name, overflow="fold") for name in ("id", "name", "enrolled", "valid until", "purpose"))
    )
    for entry in roll.entries:
        known = _document(entry.identity)
        until = (known["valid_until"] or "") + ("" if known["valid"] else " (over)")
        cells = known["id"], known["name"], str(len(entry.enrolments)), until, known["purpose"]
        table.add_row(*(Text(cell or "") for cell in cells))
    console().print(table if roll.entries else "nobody is enrolled")


@app.command()
def show(identity_id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Shows one identity.

    JSON: {"id", "name", "purpose", "valid_until", "valid", "created_at",
    "enrolments": [{"id", "kind": "picture"|"text", "sha256", "size_bytes", "added_at", "text"}]}.
    """
    with open_desk(config_of(config)) as desk:
        entry = desk.show(identity_id)
    document = _document(entry.identity) | {
        "enrolments": [_enrolment_document(each) for each in entry.enrolments]
    }
    if as_json:
        print_json(document)
        return
    lines = [f"{key}: {'' if value is None else value}" for key, value in _document(entry.identity).items()]
    lines += [_enrolment_line(each) for each in entry.enrolments]
    console().print("\n".join(lines), markup=False)


@app.command()
def remove(identity_id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Erases an identity with its pictures, texts and vectors.

    JSON: {"id", "removed": COUNT OF PICTURES AND TEXTS, "version"}.
    """
    with open_desk(config_of(config)) as desk:
        removed = desk.remove(identity_id)
    count = len(removed.enrolments)
    if as_json:
        print_json({"id": identity_id, "removed": count, "version": removed.version})
        return
    texts = sum(each.text is not None for each in removed.enrolments)
    console().print(f"{identity_id} removed, with {enrolments_text(count - texts, texts)}", markup=False)


@app.command("export")
def export_(
    target: Annotated[Path, typer.Argument(metavar="OUT.zip")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes everyone, their pictures and texts to one zip file, without vectors.

    JSON: {"file", "identities": COUNT, "enrolments": COUNT}.
    """
    with open_desk(config_of(config)) as desk:
        listing = desk.export(target)
    _tell_archive(listing, target, "written to", as_json=as_json)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="IN.zip")],
    config: ConfigOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace people of the same id.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Takes in everyone of an exported zip file, or nobody; pipelines make the vectors.

    JSON: {"file", "identities": COUNT, "enrolments": COUNT}.
    """
    with open_desk(config_of(config)) as desk:
        listing = desk.import_(source, replace=replace)
    _tell_archive(listing, source, "taken in from", as_json=as_json)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copies the whole watchlist, vectors included, while pipelines go on running.

    JSON: {"file", "version"}.
    """
    with open_desk(config_of(config)) as desk:
        version = desk.backup(target)
    _tell_copy(target, version, "backed up to", as_json=as_json)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Puts a backup in place of the whole watchlist; running pipelines take it over.

    JSON: {"file", "version"}.
    """
    with open_desk(config_of(config)) as desk:
        version = desk.restore(source)
    _tell_copy(source, version, "restored from", as_json=as_json)


@app.command("publish")
def publish_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Makes the group's watchlist what this one is; changes are published as they are made.

    JSON: {"published": COUNT, "version"}.
    """
    with open_desk(config_of(config)) as desk:
        told = desk.publish()
    for warning in told.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json({"published": told.rows, "version": told.version})
        return
    console().print(f"watchlist version {told.version} published: {told.rows} rows written", markup=False)


def _document(identity: Identity) -> dict[str, Any]:
    document = document_of(identity)
    created_at = document.pop("created_at")
    return document | {"valid": identity.is_valid(datetime.now(UTC)), "created_at": created_at}


def _enrolment_document(enrolment: Enrolment) -> dict[str, Any]:
    return {
        "id": enrolment.id,
        "kind": enrolment.kind,
        "sha256": enrolment.sha256,
        "size_bytes": enrolment.size_bytes,
        "added_at": in_utc(enrolment.added_at),
        "text": enrolment.text,
    }


def _enrolment_line(enrolment: Enrolment) -> str:
    added = f"added {in_utc(enrolment.added_at)}"
    if enrolment.text is not None:
        return f"text {enrolment.id}: {enrolment.text!r}, {added}"
    return f"picture {enrolment.id}: {enrolment.size_bytes} bytes, {added}, sha256 {enrolment.sha256}"


def _tell_archive(listing: Listing, path: Path, done: str, *, as_json: bool) -> None:
    people = len(listing.identities)
    enrolments = sum(len(person.enrolments) for person in listing.identities)
    if as_json:
        print_json({"file": str(path), "identities": people, "enrolments": enrolments})
        return
    pictures = sum(len(person.pictures) for person in listing.identities)
    enrolled = enrolments_text(pictures, enrolments - pictures)
    console().print(f"{people} identities with {enrolled} {done} {path}", markup=False)


def _tell_copy(path: Path, version: int, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(path), "version": version})
        return
    console().print(f"watchlist version {version} {done} {path}", markup=False)
