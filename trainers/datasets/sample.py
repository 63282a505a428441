"""One labelled picture of a person, whatever set it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Modality = Literal["visible", "infrared", "thermal"]
JUNK = -1


@dataclass(frozen=True, slots=True)
class Sample:
    """A person in a picture, labelled as the set labels them.

    Args:
        path: The picture: a crop, or with `box` a whole scene.
        identity: The set's own number. -1 = junk or unknown, which no ranking counts.
        camera: The set's own number, -1 = not given.
        time: When, in the set's own words (a frame number, `0303morning`); None = not given.
        modality: What kind of camera.
        clothes: Outfit number within an identity, -1 = not given.
        scene: Number of the scene that it was cut from, -1 = not given.
        text: Descriptions of this picture.
        attributes: Anything else the set says, by the set's own names.
        box: x1, y1, x2, y2 of the person in the picture, px; None = all of it.
        mask: Picture of the person's silhouette.
    """

    path: Path
    identity: int
    camera: int = -1
    time: str | None = None
    modality: Modality = "visible"
    clothes: int = -1
    scene: int = -1
    text: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """The samples of a set by official split.

    Args:
        splits: By name: `train`, `val`, and the papers' `query` and `gallery`, or `test` where one text or picture
            of a split is searched among the others.
        galleries: For each query the scenes it is searched in; empty = all of the gallery, for every query.
    """

    splits: Mapping[str, tuple[Sample, ...]]
    galleries: tuple[tuple[Path, ...], ...] = ()
