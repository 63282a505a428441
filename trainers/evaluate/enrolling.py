"""Enrols labelled people from pictures, as `musewatch watchlist add` does."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.desk.enrol import enrol
from pipeline.desk.portrait import PortraitMaker
from pipeline.errors import InputError
from pipeline.follow.geometry import Box
from pipeline.watchlist.records import Identity
from pipeline.watchlist.roster import WatchlistStore


@dataclass(frozen=True, slots=True)
class Photo:
    """One person to enrol: a picture file, and the box of the person in it (None = all of it)."""

    id: str
    name: str
    image: Path
    box: Box | None = None


def enrol_photo(config: Config, store: WatchlistStore, looks: Looks, photo: Photo) -> list[str]:
    """Adds one person to the watchlist; returns what is odd about the picture.

    Raises:
        InputError: The picture was refused.
    """
    now = datetime.now(UTC)
    report = enrol(
        store,
        Identity(photo.id, photo.name, purpose="evaluation", valid_until=None, created_at=now),
        [photo.image],
        PortraitMaker(
            looks.codec, None, photo.box, min_height_px=build.portrait_height_px(config, looks.embedder)
        ),
        looks.embedder,
        max_distance=looks.max_distance,
        now=now,
    )
    for refused in report.refused:
        raise InputError(
            f"{photo.id} cannot be enrolled from {photo.image}: {refused.error.problem}", refused.error.fix
        )
    return report.warnings
