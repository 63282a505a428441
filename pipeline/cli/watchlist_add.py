"""`musewatch watchlist add`: enrols a person from pictures and texts."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipeline.cli.common import REFUSED_INPUT, ConfigOption, config_of
from pipeline.desk.desk import Enrolled, EnrolRequest, open_desk
from pipeline.desk.enrol import Refused
from pipeline.errors import ConfigError
from pipeline.follow.geometry import Box
from pipeline.output import JsonOption, console, print_json, say
from pipeline.watchlist.attributes import parse_attributes, sentence


class ManyImages(TyperCommand):
    """Lets several files follow one `--image`, as the shell expands `--image p3/*.jpg`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `--image` before every file that follows one."""
        spread: list[str] = []
        in_images = False
        for arg in args:
            if arg.startswith("-"):
                in_images = arg == "--image" or arg.startswith("--image=")
            elif in_images and spread[-1] != "--image":
                spread.append("--image")
            spread.append(arg)
        return super().parse_args(ctx, spread)


def add(
    *,
    identity_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="New, or known: pictures are added.")
    ],
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="Pictures; may be repeated.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Describes the person, for an embedder that reads; may be repeated."
        ),
    ] = None,
    attr: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An attribute; all of them make one text. May be repeated."),
    ] = None,
    config: ConfigOption = None,
    name: Annotated[str | None, typer.Option(help="What people call them.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Each picture already is one person.")] = False,
    box: Annotated[
        str | None, typer.Option(metavar="X1,Y1,X2,Y2", help="Where the person is, in pixels.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="Why they are looked for; goes into hits.")] = None,
    valid_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601; a date alone means its end in UTC.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Enrols a person from pictures, texts and attributes; exit 3 when a picture was refused.

    What was not refused is enrolled all the same. Attributes: gender, age, shape, hair, upper, lower, shoes, hat,
    bag, prop, each but the first three with its colour (hair_colour, shoe_colour...), and upper_pattern.

    JSON: {"id", "enrolled", "refused": [{"image", "reason", "detail", "boxes"?}], "warnings", "version"}.
    """
    request = EnrolRequest(
        identity_id,
        tuple(image or ()),
        (*(text or ()), *((sentence(parse_attributes(attr)),) if attr else ())),
        name,
        purpose,
        valid_until,
        None if box is None else _box(box),
        whole,
    )
    with open_desk(config_of(config)) as desk:
        done = desk.add(request)
    _tell(identity_id, done, as_json=as_json)
    if done.report.refused:
        raise typer.Exit(REFUSED_INPUT)


def enrolments_text(pictures: int, texts: int) -> str:
    """What somebody was enrolled from: 1 picture, 2 pictures and 1 text."""
    counts = [(pictures, "picture")] if pictures or not texts else []
    counts += [(texts, "text")] if texts else []
    return " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _box(text: str) -> Box:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--box {text!r} is not X1,Y1,X2,Y2", "give four numbers, in pixels") from None
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise ConfigError(f"--box {text!r} is empty", "give left, top, right and bottom, in pixels")
    return x1, y1, x2, y2


def _tell(identity_id: str, done: Enrolled, *, as_json: bool) -> None:
    report = done.report
    for refused in report.refused:
        say(f"{refused.image}: {refused.error.reason}: {refused.error}")
    for warning in report.warnings:
        say(f"warning: {warning}")
    if as_json:
        print_json(
            {
                "id": identity_id,
                "enrolled": report.enrolled,
                "refused": [_refused_document(refused) for refused in report.refused],
                "warnings": report.warnings,
                "version": done.version,
            }
        )
        return
    refused_text = f", {len(report.refused)} refused" if report.refused else ""
    enrolled = enrolments_text(report.pictures, report.texts)
    console().print(f"{identity_id}: {enrolled} enrolled{refused_text}", markup=False)


def _refused_document(refused: Refused) -> dict[str, Any]:
    error = refused.error
    document = {"image": str(refused.image), "reason": str(error.reason), "detail": str(error)}
    return document | ({"boxes": error.boxes} if error.boxes else {})
