"""Every message of the stream, in the order in which it is produced.

Boxes are xyxy in source pixels. `pts_s` is the stream's own time in seconds; `captured_at` is a wall clock.
Messages are frozen and checked once, when they are made.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.bounds import (
    MAX_LABEL,
    MAX_STREAM_S,
    Box,
    Count,
    Finite,
    Moment,
    Side,
    StreamSeconds,
    within_the_calendar,
)


class Clock(StrEnum):
    """Where `captured_at` comes from."""

    CAMERA = "camera"  # the camera's own wall clock
    ARRIVAL = "arrival"  # this machine's clock when the frame arrived
    FILE = "file"  # the clip's own time


class EndReason(StrEnum):
    """Why a track, and with it a hit, has ended."""

    TRACK_ENDED = "track_ended"
    STREAM_LOST = "stream_lost"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class RetractReason(StrEnum):
    """Why a hit is taken back."""

    IDENTITY_CHANGED = "identity_changed"  # what it shows is somebody else


class HitState(StrEnum):
    """Where a hit stands in its life."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"
    RETRACTED = "retracted"

    @property
    def is_open(self) -> bool:
        """Whether more is to come of it."""
        return self in (HitState.OPENED, HitState.UPDATED)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one stream.

    Attributes:
        stream_id: Stream it belongs to; the runner sets it, a source may leave it empty.
        index: Position in the source, from 0, dropped frames counted.
        image: (H, W, 3) uint8 BGR.
        pts_s: The stream's own time.
        captured_at: Wall clock, aware; for files the clip's own time, counted from its recording or the file's date.
        clock: Where `captured_at` comes from.
        epoch: One uninterrupted run of the stream; a source that leaves it empty gets one from the runner.
        pixel_aspect: Width over height of a pixel; boxes and sizes are in pixels as stored, whatever it is.
    """

    stream_id: str
    index: int
    image: NDArray[np.uint8]
    pts_s: float
    captured_at: datetime
    clock: Clock
    epoch: str = ""
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.pixel_aspect <= 10:
            raise ValueError(f"a pixel is not {self.pixel_aspect:g} times as wide as high")
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, not {self.image.shape} {self.image.dtype}")
        if not self.image.size:
            raise ValueError("image has no pixels")
        if not -MAX_STREAM_S <= self.pts_s <= MAX_STREAM_S:
            raise ValueError(f"pts_s is {self.pts_s}, not a number of seconds within {MAX_STREAM_S:g}")
        if self.captured_at.tzinfo is None:
            raise ValueError("captured_at must carry a time zone")
        within_the_calendar(self.captured_at)
        if not self.epoch.isprintable() or len(self.epoch) > MAX_LABEL:
            raise ValueError(f"epoch must be printable, and of at most {MAX_LABEL} characters")

    @property
    def size(self) -> tuple[int, int]:
        """Width, height in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame whose picture is as its decoder left it: one that nobody takes is never converted.

    The attributes are those of a `Frame`, but for this:

    Attributes:
        picture: Converts; gives (H, W, 3) uint8 BGR.
    """

    stream_id: str
    index: int
    picture: Callable[[], NDArray[np.uint8]]
    pts_s: float
    captured_at: datetime
    clock: Clock
    epoch: str = ""
    pixel_aspect: float = 1.0

    def converted(self) -> Frame:
        """The frame.

        Raises:
            ValueError: It is none; and whatever the decoder's library raises.
        """
        return Frame(
            self.stream_id, self.index, self.picture(), self.pts_s, self.captured_at, self.clock, self.epoch,
            self.pixel_aspect,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """An epoch of a stream is over; what it left open is to be closed for `reason`."""

    stream_id: str
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Detections:
    """People in one frame.

    Attributes:
        xyxy: (N, 4) float32, source pixels.
        score: (N,) float32 in [0, 1].
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        if self.xyxy.shape != (n, 4) or self.score.shape != (n,):
            raise ValueError(f"expected (N, 4) and (N,), got {self.xyxy.shape} and {self.score.shape}")
        if not (np.isfinite(self.xyxy).all() and np.isfinite(self.score).all()):
            raise ValueError("a box or a score is not finite")

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Detections":
        return Detections(self.xyxy[rows], self.score[rows])

    @classmethod
    def empty(cls) -> "Detections":
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class Detected:
    """A frame and the people found in it."""

    frame: Frame
    detections: Detections


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame, and who of those found in it is who.

    Attributes:
        frame: The frame.
        detections: The people found in it.
        track_ids: (N,) int64, the `TrackKey.track_id` of each; -1 = in no track yet.
    """

    frame: Frame
    detections: Detections
    track_ids: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.track_ids.shape != (len(self.detections),):
            raise ValueError(f"{len(self.detections)} people, track ids of shape {self.track_ids.shape}")


class TrackKey(NamedTuple):
    """Identity of a track; a bare track id repeats across streams and epochs."""

    stream_id: str
    epoch: str
    track_id: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole frame, as JPEG; `size` is width, height of the source."""

    jpeg: bytes
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Crop:
    """One person cut out of one frame.

    Attributes:
        image: (h, w, 3) uint8 BGR, the box clipped to the frame.
        box: xyxy in source pixels.
        pts_s: Time of the frame.
        captured_at: Wall clock of the frame.
        quality: In [0, 1]: size, sharpness, truncation, overlap.
        embedding: (D,) float32 unit vector.
        scene: The frame, where it is kept.
    """

    image: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    pts_s: float
    captured_at: datetime
    quality: float
    embedding: NDArray[np.float32]
    scene: Scene | None = None

    @property
    def pixels(self) -> int:
        """Of the image."""
        height, width = self.image.shape[:2]
        return int(height * width)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """What is asked against the watchlist: a track's best crops so far.

    Attributes:
        key: The track.
        number: 1 for the first question about this track, then growing.
        crops: Best first, at least one.
        scene: The frame of the best crop.
        embedding: (D,) float32 unit vector, the quality-weighted mean of the crops.
        first_pts_s: First sight of the track.
        last_pts_s: Last sight of the track.
        decided_pts_s: Stream time when the question was asked.
        clock: Clock of `captured_at` in the crops.
        engines: Digest by role (detector, embedder), `sha256:...` or None.
        end: Set on the last question about this track.
        lost: Ids of other tracks of the stream that were out of sight before this one began, and are not over.
        degraded: What is worse about it than it should be: `late`.
    """

    key: TrackKey
    number: int
    crops: tuple[Crop, ...]
    scene: Scene
    embedding: NDArray[np.float32]
    first_pts_s: float
    last_pts_s: float
    decided_pts_s: float
    clock: Clock
    engines: dict[str, str | None] = field(default_factory=dict)
    end: EndReason | None = None
    lost: tuple[int, ...] = ()
    degraded: tuple[str, ...] = ()

    @property
    def best(self) -> Crop:
        """The crop shown as evidence."""
        return self.crops[0]

    @property
    def sights(self) -> tuple[Crop, ...]:
        """The crops that may be shown, best first: those whose frame is kept."""
        return self.best, *(crop for crop in self.crops[1:] if crop.scene is not None)

    def showing(self, sight: Crop) -> "Tracklet":
        """The same with another of its `sights` as the best crop."""
        if sight is self.best or sight.scene is None:
            return self
        others = tuple(crop for crop in self.crops if crop is not sight)
        return replace(self, crops=(sight, *others), scene=sight.scene)

    @property
    def pixels(self) -> int:
        """Of all crops."""
        return sum(crop.pixels for crop in self.crops)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An identity shortlisted for a tracklet.

    Attributes:
        identity_id: The identity.
        enrolment_id: Its nearest enrolment.
        distance: Euclidean between unit vectors, in [0, 2].
        rank: 1 = nearest.
        is_text: Whether that enrolment is a text; its distances have a cut of their own.
    """

    identity_id: str
    enrolment_id: int
    distance: float
    rank: int
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier said of (tracklet, candidate).

    Attributes:
        candidate: The candidate judged.
        fused: Distance to decide by, in [0, 2]; smaller = nearer.
        p_no: Probability that they differ, in [0, 1], or None when the verifier gives none.
        p_no_swapped: The same asked in the other order, or None.
        rank: Place after judging, 1 = nearest; the decision sets it.
        degraded: What the verifier had to leave out.
    """

    candidate: Candidate
    fused: float
    p_no: float | None = None
    p_no_swapped: float | None = None
    rank: int = 1
    degraded: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether `fused` is the verifier's word rather than the plain distance."""
        return self.p_no is not None or self.fused != self.candidate.distance


@dataclass(frozen=True, slots=True)
class Mask:
    """The person cut out of the scene, as COCO run lengths (column first) over `size` (height, width)."""

    counts: tuple[int, ...]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class PictureRef:
    """Evidence kept under its hash."""

    uri: str
    sha256: str


@dataclass(frozen=True, slots=True)
class HitIdentity:
    """Who was found, as the watchlist had it at that version."""

    id: str
    name: str | None
    watchlist_version: Count


@dataclass(frozen=True, slots=True)
class HitBest:
    """The best sight of the person. Box: xyxy in pixels of `frame_size` (width, height).

    `distance` is that of the crop alone to the enrolment, in [0, 2]; None where it is not known.
    """

    pts_s: StreamSeconds
    frame_size: tuple[Side, Side]
    box: Box
    crop: PictureRef | None
    frame: PictureRef | None
    mask: Mask | None
    distance: Finite | None = None


@dataclass(frozen=True, slots=True)
class HitDecision:
    """What the decision was made from.

    Distances are Euclidean between unit vectors, in [0, 2]; `fused` is what was decided by where a verifier judged,
    `distance` where it is None. `max_distance` is the cut of that kind of distance, to a picture or a text; `margin`
    is the lead over the next identity, None when only one is enrolled; `degraded` names what had to be left out.
    """

    distance: Finite
    p_no: Finite | None
    p_no_swapped: Finite | None
    fused: Finite | None
    rank_before: int
    rank_after: int
    probability: Finite | None
    max_distance: Finite
    margin: Finite | None
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An accepted candidate at one point of its life: the `data` of an event, field by field.

    `revision` is 1 for `opened` and grows, with gaps. One `hit_id` at most per (stream, epoch, track,
    identity). A hit that another track has taken over has the `track_id` of that one, `continued_from` is the one
    before. The bounds of its fields are those of an event that comes back.
    """

    hit_id: str
    revision: Count
    state: HitState
    reason: EndReason | RetractReason | None
    stream_id: str
    epoch: str
    track_id: Count
    identity: HitIdentity
    purpose: str | None
    first_pts_s: StreamSeconds
    last_pts_s: StreamSeconds
    decided_pts_s: StreamSeconds
    captured_at: Moment
    clock: Clock
    best: HitBest
    decision: HitDecision
    engines: dict[str, str | None]
    continued_from: Count | None = None
