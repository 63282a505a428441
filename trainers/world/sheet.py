"""`world sheet`: a contact sheet, a row for each person, cameras from left to right."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import InputError
from trainers.world.compiled import U8
from trainers.world.crops import contact_rows, make_views
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, identity_seeds
from trainers.world.hard import Hardness, darkened, harden
from trainers.world.jobs import announce_compiling
from trainers.world.looks import sample_look
from trainers.world.person import build_person

CELL_SIZE = (80, 160)
VIEW_SIZE = (640, 360)


def make_sheet(
    out: Path, domain: Domain, split: str, seed: int, people: int, per_camera: int, hardness: Hardness
) -> None:
    """Writes the sheet as a picture.

    Raises:
        InputError: The file cannot be written.
    """
    announce_compiling()
    cv2.setNumThreads(1)
    seeds = identity_seeds(split, seed, people)
    looks = harden([sample_look(body, domain.wardrobe) for body in seeds], hardness, domain.wardrobe)
    crowd = Crowd([build_person(look) for look in looks])
    views = make_views(darkened(domain, hardness), len(domain.place().mounts), seed, VIEW_SIZE)
    rng = np.random.default_rng([90, seed])
    rows = contact_rows(views, crowd, rng, per_camera, hardness)
    picture = tiled(rows, len(views) * per_camera)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), picture, [cv2.IMWRITE_JPEG_QUALITY, 85]):
        raise InputError(f"{out} cannot be written", "give a name that ends with .jpg or .png")


def tiled(rows: Sequence[Sequence[U8]], columns: int) -> U8:
    """Pictures of any size as one, empty cells grey."""
    empty = np.full((CELL_SIZE[1], CELL_SIZE[0], 3), 60, np.uint8)
    lines = []
    for row in rows:
        cells = [
            np.asarray(cv2.resize(image, CELL_SIZE, interpolation=cv2.INTER_AREA), np.uint8) for image in row
        ]
        lines.append(np.hstack([*cells, *[empty] * (columns - len(cells))]))
    return np.vstack(lines)
