"""How soon a person could be found at best: by an oracle that knows where they are, and asks about every frame."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.crops import MAX_COVERED, covered, cut, quality, views
from pipeline.follow.geometry import iou
from pipeline.messages import Detections, Frame
from pipeline.protocols import Detector, Embedder
from pipeline.watchlist.snapshot import WatchlistSnapshot
from trainers.metrics.alerts import MIN_IOU, Appearance, PersonLabels, StreamTruth

LABEL_GAP_S = 0.6  # between two labels of a person that a box is drawn between


@dataclass(frozen=True, slots=True)
class Oracle:
    """Asks the engines about the box on a person, one frame alone, as a track whose only crop it is.

    Attributes:
        detector: Whose boxes are looked at.
        embedder: What looks at them.
        watchlist: Who is enrolled.
        cut: Largest distance of a hit.
        margin: Least lead over the next identity.
        min_quality: Of a crop that is evidence.
    """

    detector: Detector
    embedder: Embedder
    watchlist: WatchlistSnapshot
    cut: float
    margin: float
    min_quality: float

    def first_s(self, frames: Iterable[Frame], stream: StreamTruth, stay: Appearance) -> float | None:
        """When a person first passes the cut in a stay of theirs, in seconds; None = never."""
        for frame in frames:
            if stay.start_s <= frame.pts_s <= stay.end_s and self._passes(frame, stream, stay.person_id):
                return frame.pts_s
        return None

    def _passes(self, frame: Frame, stream: StreamTruth, person_id: str) -> bool:
        there = {
            who: box for who, own in stream.labels.items() if (box := box_at(own, frame.pts_s)) is not None
        }
        if person_id not in there:
            return False
        (found,) = self.detector.detect([frame])
        row = _row_of(person_id, there, found)
        hidden = covered(found.xyxy)
        if row is None or hidden[row] > MAX_COVERED:
            return False
        shown = float(views(frame.size, found.xyxy, hidden)[row])
        if quality(frame.image, found.xyxy[row], shown) < self.min_quality:
            return False
        vector = self.embedder.embed([cut(frame.image, found.xyxy[row])])[0]
        away = np.linalg.norm(self.watchlist.vectors.astype(np.float32) - vector, axis=1)
        is_own = np.array(self.watchlist.identity_ids) == person_id
        own, next_ = away[is_own].min(initial=np.inf), away[~is_own].min(initial=np.inf)
        return bool(own <= self.cut and next_ - own >= self.margin)


def box_at(labels: PersonLabels, pts_s: float) -> NDArray[np.float32] | None:
    """A person's box (4,) at a time, on the straight line between the labels around it; None where they are far."""
    after = int(np.searchsorted(labels.times_s, pts_s))
    near = [i for i in (after - 1, after) if 0 <= i < len(labels.times_s)]
    times_s = labels.times_s[near]
    if not near or np.ptp(times_s) > LABEL_GAP_S or np.abs(times_s - pts_s).min() > LABEL_GAP_S / 2:
        return None
    return np.array([np.interp(pts_s, times_s, side) for side in labels.boxes[near].T], np.float32)


def _row_of(person_id: str, there: dict[str, NDArray[np.float32]], found: Detections) -> int | None:
    """The detection on a person and on nobody else more."""
    if not len(found):
        return None
    overlaps = iou(np.stack(list(there.values())), found.xyxy)
    own = overlaps[list(there).index(person_id)]
    row = int(own.argmax())
    return row if own[row] >= MIN_IOU and own[row] >= overlaps[:, row].max() else None
