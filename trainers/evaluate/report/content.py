"""What a report shows, as plain records; pictures are JPEG bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.follow.geometry import Box
from trainers.metrics.alerts import AlertScores, Appearance, StreamTruth


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled, with the picture it was done from."""

    id: str
    name: str
    picture: bytes | None


@dataclass(frozen=True, slots=True)
class HitDetail:
    """What the scores do not need of a hit.

    Attributes:
        crop: The evidence, or None when it is gone.
        distance: In [0, 2].
        max_distance: The cut, in [0, 2].
        margin: Lead over the next identity, or None.
        shows: Person id of who stands in the box, or None.
    """

    crop: bytes | None
    distance: float
    max_distance: float
    margin: float | None
    shows: str | None


@dataclass(frozen=True, slots=True)
class MissedDetail:
    """A missed appearance: the person when best to be seen, and why nothing came of it."""

    crop: bytes | None
    pts_s: float
    height_px: float
    why: str


@dataclass(frozen=True, slots=True)
class Still:
    """A frame of a stream, and who is in it by the labels. `size` is width, height of the source."""

    picture: bytes
    pts_s: float
    size: tuple[int, int]
    boxes: Mapping[str, Box]


@dataclass(frozen=True, slots=True)
class ReportContent:
    """A whole report.

    Attributes:
        title: Heading.
        subtitle: One line below it.
        seconds: How long the run took.
        scores: All hits and appearances, judged.
        truth: The streams, in the order shown.
        people: The watchlist, in the order shown.
        hits: By hit id.
        missed: By appearance.
        stills: By stream id.
        notice: What the reader must know first; a heading and paragraphs, or nothing.
        facts: Engines and settings, name and value.
        config: The config file as it was used.
        footnotes: Lines at the end, such as attributions.
    """

    title: str
    subtitle: str
    seconds: float
    scores: AlertScores
    truth: tuple[StreamTruth, ...]
    people: tuple[Person, ...]
    hits: Mapping[str, HitDetail]
    missed: Mapping[Appearance, MissedDetail]
    stills: Mapping[str, Still]
    notice: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    config: str = ""
    footnotes: tuple[str, ...] = ()
