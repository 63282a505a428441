"""`musewatch watchlist add`: enrols a person from pictures and texts."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipeline import build
from pipeline.cli.common import REFUSED_INPUT, ConfigOption, config_of
from pipeline.config import Config
from pipeline.desk.enrol import EnrolReport, Refused, enrol
from pipeline.desk.portrait import PortraitMaker
from pipeline.errors import ConfigError
from pipeline.follow.geometry import Box
from pipeline.output import JsonOption, console, print_json, say
from pipeline.plugged import PluggedCodec, PluggedDetector, PluggedEmbedder
from pipeline.watchlist.attributes import parse_attributes, sentence
from pipeline.watchlist.records import Identity
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import announce
from pipeline.watchlist.validity import parse_valid_until


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
    images, texts = image or [], [*(text or []), *([sentence(parse_attributes(attr))] if attr else [])]
    if not images and not texts:
        raise ConfigError("nothing says who is meant", "give --image FILE, --text TEXT or --attr NAME=VALUE")
    place = _place(box, whole=whole, images=len(images))
    until, warning = (None, None) if valid_until is None else parse_valid_until(valid_until)
    now = datetime.now(UTC)
    identity = Identity(identity_id, name, purpose, until, now)
    settings = config_of(config)
    embedder = PluggedEmbedder.build(settings.embedder, settings.base_dir)
    maker = _maker(settings, embedder, place, whole=whole or not images)
    with WatchlistStore.in_folder(settings.data_dir) as store:
        cut = _cut(settings, embedder)
        report = enrol(store, identity, images, maker, embedder, max_distance=cut, now=now, texts=texts)
        version = store.version
        told = announce(settings, store, [identity_id]) if report.enrolled else None
    if told is not None:
        report.warnings += told.warnings
    if warning:
        report.warnings.append(warning)
    if report.texts and settings.decision.max_distance_text is None:
        report.warnings.append("nobody is compared with texts until decision.max_distance_text is set")
    if until is not None and until <= now:
        report.warnings.append(f"--valid-until {valid_until} is over: nobody will be compared with them")
    _tell(identity_id, report, version, as_json=as_json)
    if report.refused:
        raise typer.Exit(REFUSED_INPUT)


def enrolments_text(pictures: int, texts: int) -> str:
    """What somebody was enrolled from: 1 picture, 2 pictures and 1 text."""
    counts = [(pictures, "picture")] if pictures or not texts else []
    counts += [(texts, "text")] if texts else []
    return " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _place(text: str | None, *, whole: bool, images: int) -> Box | None:
    """The box of the command line."""
    if text is None:
        return None
    if whole:
        raise ConfigError("--whole and --box contradict each other", "give one of them")
    if images != 1:
        raise ConfigError(f"one --box cannot fit {images} pictures", "give one --image with it")
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--box {text!r} is not X1,Y1,X2,Y2", "give four numbers, in pixels") from None
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise ConfigError(f"--box {text!r} is empty", "give left, top, right and bottom, in pixels")
    return x1, y1, x2, y2


def _maker(settings: Config, embedder: PluggedEmbedder, place: Box | None, *, whole: bool) -> PortraitMaker:
    codec = PluggedCodec.build(settings.codec, settings.base_dir)
    least = build.portrait_height_px(settings, embedder)
    detector = None if whole or place is not None else _detector(settings)
    return PortraitMaker(codec, detector, place, min_height_px=least)


def _detector(settings: Config) -> PluggedDetector:
    """The config's detector, of any height where it can: too small is another answer than nobody."""
    try:
        anyone = settings.detector.model_copy(update={"min_height_px": 1})
        return PluggedDetector.build(anyone, settings.base_dir)
    except ConfigError:
        return PluggedDetector.build(settings.detector, settings.base_dir)


def _cut(settings: Config, embedder: PluggedEmbedder) -> float | None:
    """The largest distance at which two pictures are taken for one person; None where nothing says so."""
    if settings.decision.max_distance != "auto":
        return settings.decision.max_distance
    return embedder.facts.max_distance


def _tell(identity_id: str, report: EnrolReport, version: int, *, as_json: bool) -> None:
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
                "version": version,
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
