"""Enrols labelled people from pictures, at the desk where `musewatch watchlist add` does."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.desk.desk import Desk, EnrolRequest
from pipeline.errors import InputError
from pipeline.follow.geometry import Box


@dataclass(frozen=True, slots=True)
class Photo:
    """One person to enrol: a picture file, and the box of the person in it (None = all of it)."""

    id: str
    name: str
    image: Path
    box: Box | None = None


def enrol_photo(desk: Desk, photo: Photo) -> list[str]:
    """Adds one person to the watchlist; returns what is odd about the picture.

    Raises:
        InputError: The picture was refused.
    """
    request = EnrolRequest(
        photo.id, [photo.image], name=photo.name, purpose="evaluation", box=photo.box, whole=photo.box is None
    )
    report = desk.add(request).report
    for refused in report.refused:
        raise InputError(
            f"{photo.id} cannot be enrolled from {photo.image}: {refused.error.problem}", refused.error.fix
        )
    return report.warnings
