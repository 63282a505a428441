"""Our own tracker: by place as long as that tells people apart, by looks where it does not."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.follow.geometry import area, intersection, iou, shared
from pipeline.messages import Detections, Frame
from pipeline.settings import LONG_S, Settings
from plugins.trackers.assignment import assigned
from plugins.trackers.camera_motion import CameraMotion
from plugins.trackers.looks import Scale
from plugins.trackers.motion import Motion, likelihood
from plugins.trackers.tracks import VIEW_GAP_S, Track, Tracks

F64 = NDArray[np.float64]

OPERATING_POINT = 0.85  # Euclidean distance, where the embedder names none
NOBODY_THERE = 5.0  # log odds: how seldom somebody new stands just where a track is expected
UNSURE = 4.0  # log odds: a second choice so near the first has to be looked at
OVERLAP = 0.35  # of the smaller of two boxes, above which two people may be mixed up
CLEAN = 0.35  # of a box at most covered by boxes in front, or it shows somebody else as well
DOUBLE = 0.6  # IoU above which a new box is a second one of a known person
HIDDEN = 0.7  # of a box covered, above which it is not worth a look
UNSURE_GAP_S = 0.1  # between two looks at whom it is unsure that they are
TOGETHER_GAP_S = 2.0  # who goes on standing in another's way is looked at again after so long
LOST_S = 0.3  # unseen for longer, a track is taken up again by its looks only
UNLIKE = -1.0  # log odds by looks below which a lost track is not taken up
ONCE_SEEN_S = 0.6  # after so long unseen, a single sight was nobody
HELD_S = 0.6  # an id in doubt is held back for so long
FIRST_VIEWS, FIRST_GAP_S, VIEW_EVERY_S = 3, 0.25, 1.2  # a few views soon, then one now and then
AWAY_PER_S = 1.0  # log odds that somebody out of sight does not come back
LEFT = 3.0  # the same of somebody who was expected beyond the picture's border
BEHIND_S = 1.0  # unseen for so long, somebody may still be just behind who is seen
LOW_IOU = 0.3  # of a doubtful box with where its track is expected
MAX_TRACKS = 512


class AppearanceTracker:
    """Follows people by predicted place, and by looks where more than one could be meant.

    A track keeps several views of its person. Vectors are asked for when a choice between people is unsure, when
    somebody comes, comes back or may have been mixed up with somebody in whose way they were, and now and then to know
    how a person looks. After people were in each other's way their new views are compared with those from before,
    and the ids go with the looks. What a distance means is learnt from people who surely are the same or are not.

    Prediction, memory and doubts go by `frame.pts_s`, so that frames may come at any rate and unevenly. A track that is
    unseen for `lost_s` ends, and its id is never used again until `reset`.
    """

    needs_embeddings = False
    asks = True

    class Config(Settings):
        """When boxes are one person."""

        lost_s: float = Field(
            default=5.0,
            ge=0,
            le=LONG_S,
            description="Seconds unseen after which a track ends; its id is never used again.",
        )
        start_score: float = Field(
            default=0.5, ge=0, le=1, description="A detection below never starts a track."
        )
        sure_score: float = Field(
            default=0.4, ge=0, le=1, description="Detections below are only matched to tracks left over."
        )
        camera_motion: bool = Field(
            default=False, description="Whether the camera itself moves: costs a few milliseconds a frame."
        )

    def __init__(self, config: Config) -> None:
        self._config = config
        self._operating_point = OPERATING_POINT
        self.reset()

    def use_operating_point(self, max_distance: float) -> None:
        """Takes that distance, (0, 2], as what tells people apart, until people were seen who tell better."""
        self._operating_point = max_distance
        self.reset()

    def reset(self) -> None:
        """Forgets everything; ids start again."""
        self._tracks = Tracks()
        self._camera = CameraMotion() if self._config.camera_motion else None
        self._steadied: Frame | None = None
        self._now = self._before = -np.inf
        self._scale = Scale(self._operating_point)

    def wanted(self, frame: Frame, detections: Detections) -> NDArray[np.int64]:
        """Rows of the detections to look at."""
        real = _real(detections.xyxy)
        if len(real) < len(detections):
            return real[self.wanted(frame, _only(detections, real))]
        self._steady(frame, detections)
        now = max(self._now, frame.pts_s)
        tracks = list(self._tracks)
        odds = self._by_place(tracks, detections, now)
        sure = np.flatnonzero(detections.score >= self._config.sure_score)
        likely = {int(sure[j]): (i, lead) for i, j, lead in _led(odds[:, sure])}
        covered = _covered(detections.xyxy)
        rows = []
        for row in sure:
            if covered[row] > HIDDEN:
                continue
            best, lead = likely.get(int(row), (-1, 0.0))
            if best < 0:
                is_due = detections.score[row] >= self._config.start_score
            elif lead < UNSURE:
                is_due = now - tracks[best].compared_s >= UNSURE_GAP_S
            else:
                is_due = covered[row] <= CLEAN and _is_due(tracks[best], now, self._before)
            if is_due:
                rows.append(row)
        return np.array(rows, np.int64)

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        """Track id of each detection, (N,), in the order given; -1 = none yet."""
        real = _real(detections.xyxy)
        if len(real) < len(detections):
            ids = np.full(len(detections), -1, np.int64)
            vectors = embeddings if embeddings is None else embeddings[real]
            ids[real] = self.update(frame, _only(detections, real), vectors)
            return ids
        self._steady(frame, detections)
        now = self._now = max(self._now, frame.pts_s)
        vectors = _usable(embeddings, len(detections))
        covered = _covered(detections.xyxy)
        tracks = list(self._tracks)
        place = self._by_place(tracks, detections, now)
        found = self._associate(tracks, detections, place, self._by_looks(tracks, vectors, covered), now)
        for track, row in found:
            track.motion = track.motion.at(now).seen(detections.xyxy[row], 1 + 3 * float(covered[row]))
            track.sights += 1
            track.seen_s, track.row = now, row
        rows = {row: track for track, row in found} | self._begin(
            detections, {row for _, row in found}, frame.size, now
        )
        self._doubt(rows, detections, frame.size, now)
        self._take_views(rows, vectors, covered, now)
        self._tracks.sort_out(self._scale, now)
        self._end(now)
        self._before = now
        return self._shown(detections, now)

    def _steady(self, frame: Frame, detections: Detections) -> None:
        """Moves all tracks as the camera moved since the frame before; once a frame."""
        if self._camera is None or frame is self._steadied:
            return
        self._steadied = frame
        by = self._camera.step(frame.image, detections.xyxy)
        for track in self._tracks:
            track.motion = track.motion.turned(by)

    def _by_place(self, tracks: list[Track], detections: Detections, now: float) -> F64:
        """Log odds (T, N) that a detection is a track's person rather than somebody new, by place."""
        odds = likelihood([track.motion.at(now) for track in tracks], detections.xyxy) + NOBODY_THERE
        missed_s = np.array([self._missed_s(track) for track in tracks])
        return odds - AWAY_PER_S * np.maximum(0.0, missed_s - LOST_S)[:, None]

    def _missed_s(self, track: Track) -> float:
        """For how long a track was not seen although there were frames."""
        return max(0.0, self._before - track.seen_s)

    def _by_looks(self, tracks: list[Track], vectors: NDArray[np.float32] | None, covered: F64) -> F64:
        """The same by looks; 0 where nothing is known."""
        odds = np.zeros((len(tracks), len(covered)))
        if vectors is not None:
            for row in np.flatnonzero(~np.isnan(vectors[:, 0])):
                weight = max(0.0, 1 - float(covered[row]))
                odds[:, row] = [
                    weight * self._scale.odds(track.gallery.distance(vectors[row])) for track in tracks
                ]
        lost = np.array([self._missed_s(track) > LOST_S for track in tracks], bool)
        odds[(odds < UNLIKE) & lost[:, None]] = -np.inf
        return odds

    def _associate(
        self, tracks: list[Track], detections: Detections, place: F64, looks: F64, now: float
    ) -> list[tuple[Track, int]]:
        """Who is where: sure boxes by place and looks, then doubtful ones by overlap with who is left."""
        sure = np.flatnonzero(detections.score >= self._config.sure_score)
        odds = (place + looks)[:, sure]
        found = [(tracks[i], int(sure[j])) for i, j in _matched(odds)]
        known = {track.number for track, _ in found}
        left = [t for t in tracks if t.number not in known and self._missed_s(t) <= BEHIND_S]
        low = np.flatnonzero(detections.score < self._config.sure_score)
        if left and len(low):
            expected = np.array([track.motion.at(now).box for track in left], np.float32)
            overlap = iou(expected, detections.xyxy[low]).astype(np.float64)
            found += [(left[i], int(low[j])) for i, j in _matched(overlap - LOW_IOU)]
        return found

    def _begin(
        self, detections: Detections, taken: set[int], size: tuple[int, int], now: float
    ) -> dict[int, Track]:
        """New tracks of sure boxes that are nobody's, and no second box of somebody."""
        begun: dict[int, Track] = {}
        for row in np.argsort(-detections.score):
            if row in taken or detections.score[row] < self._config.start_score:
                continue
            known = detections.xyxy[[*taken, *begun]]
            if np.any(iou(detections.xyxy[row : row + 1], known) > DOUBLE):
                continue
            track = self._tracks.begin(Motion.begin(detections.xyxy[row], now), now, int(row))
            track.is_inside = _is_inside(detections.xyxy[row], size)
            begun[int(row)] = track
        return begun

    def _doubt(
        self, rows: dict[int, Track], detections: Detections, size: tuple[int, int], now: float
    ) -> None:
        """Notes who is in whose way, and who may be somebody lost."""
        here = list(rows.items())
        boxes = np.array([detections.xyxy[row] for row, _ in here], np.float32).reshape(-1, 4)
        for i, j in np.argwhere(np.triu(shared(boxes, boxes) > OVERLAP, 1)):
            self._tracks.doubt(here[i][1], here[j][1], now)
        for new in (track for _, track in here if track.born_s == now):
            for _, other in here:
                if other.doubts and other is not new and _are_near(new, other, now - other.doubted_s):
                    self._tracks.doubt(new, other, now)
        lost = [track for track in self._tracks if track.seen_s < now]
        if not lost or not here:
            return
        motions = [track.motion.at(now) for track in lost]
        expected = np.array([motion.box for motion in motions], np.float32)
        covered = shared(expected, boxes) > OVERLAP
        near = likelihood(motions, boxes) + NOBODY_THERE
        for i, track in enumerate(lost):
            away_s = now - track.seen_s
            gone = AWAY_PER_S * away_s + (LEFT if _has_left(expected[i], size) else 0.0)
            for j, (_, other) in enumerate(here):
                if other.born_s == now and near[i, j] > -UNSURE:
                    self._tracks.doubt(track, other, now, min(0.0, near[i, j]) - gone)
                elif covered[i, j] and self._missed_s(track) <= BEHIND_S:
                    self._tracks.doubt(track, other, now)

    def _take_views(
        self, rows: dict[int, Track], vectors: NDArray[np.float32] | None, covered: F64, now: float
    ) -> None:
        """Keeps clean views: in the gallery of who is beyond doubt, aside of who is not."""
        if vectors is None:
            return
        for row, track in rows.items():
            if np.isnan(vectors[row, 0]):
                continue
            track.compared_s = now
            if covered[row] > CLEAN:
                continue
            view = vectors[row]
            if track.doubts:
                if now - track.viewed_s >= VIEW_GAP_S:
                    track.views.append(view)
                    track.viewed_s = now
            elif now - track.looked_s >= FIRST_GAP_S:
                others = [t.gallery.distance(view) for t in rows.values() if t is not track and not t.doubts]
                self._scale.learn(track.gallery.distance(view), others)
                track.gallery.add(view)
                track.looked_s = now

    def _end(self, now: float) -> None:
        """Forgets who has been unseen for too long; of too many, the stalest."""
        lost_s = self._config.lost_s
        stalest = sorted(self._tracks, key=lambda track: track.seen_s)
        for place, track in enumerate(stalest):
            is_over = now - track.seen_s > (lost_s if track.sights > 1 else min(lost_s, ONCE_SEEN_S))
            if is_over or place < len(stalest) - MAX_TRACKS:
                self._tracks.end(track)

    def _shown(self, detections: Detections, now: float) -> NDArray[np.int64]:
        ids = np.full(len(detections), -1, np.int64)
        for track in self._tracks:
            if track.seen_s != now:
                continue
            is_open = track.doubts and not track.gallery.views and not track.views
            if not track.shown and is_open and now - track.born_s < HELD_S:
                continue
            track.shown = True
            ids[track.row] = track.number
        return ids


def _has_left(box: NDArray[np.float32], size: tuple[int, int]) -> bool:
    """Whether most of a box lies beyond the picture's border."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return not (0 < x < size[0] and 0 < y < size[1])


def _is_inside(box: NDArray[np.float32], size: tuple[int, int]) -> bool:
    """Whether a box is away from the picture's border by half its width at least."""
    reach = (box[2] - box[0]) / 2
    return bool(box[0] > reach and box[2] < size[0] - reach and box[1] > 2 and box[3] < size[1] - 2)


def _are_near(one: Track, other: Track, gap_s: float) -> bool:
    """Whether somebody could have walked from one place to the other in that time."""
    off = one.motion.mean[:2] - other.motion.mean[:2]
    return bool(np.hypot(*off) < (1 + gap_s) * max(one.motion.mean[3], other.motion.mean[3]))


def _is_due(track: Track, now: float, before: float) -> bool:
    """Whether a clean view of a track would be of use; `before` = the time of the frame before."""
    if before - track.seen_s > LOST_S:
        return True
    if track.doubts:
        is_known = track.doubted_s >= before and not track.views and now - track.looked_s < TOGETHER_GAP_S
        return not is_known and now - track.viewed_s >= VIEW_GAP_S
    gap_s = FIRST_GAP_S if len(track.gallery.views) < FIRST_VIEWS else VIEW_EVERY_S
    return now - track.looked_s >= gap_s


def _real(boxes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of boxes that have an area."""
    return np.flatnonzero((boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1))


def _only(detections: Detections, rows: NDArray[np.int64]) -> Detections:
    return Detections(detections.xyxy[rows], detections.score[rows])


def _usable(embeddings: NDArray[np.float32] | None, count: int) -> NDArray[np.float32] | None:
    """Vectors, all of a row NaN where one number is not finite; None without any."""
    if embeddings is None or not count or not embeddings.shape[1]:
        return None
    finite = np.isfinite(np.abs(embeddings).max(axis=1))
    return np.where(finite[:, None], embeddings, np.nan).astype(np.float32)


def _covered(boxes: NDArray[np.float32]) -> F64:
    """Share (N,) of each box covered by one that reaches further down, and so is in front."""
    shared = intersection(boxes, boxes) / np.maximum(area(boxes), 1e-6)[:, None]
    feet = boxes[:, 3]
    in_front = np.greater_equal.outer(feet, feet).T & ~np.eye(len(boxes), dtype=bool)
    most: F64 = np.where(in_front, shared, 0).max(1, initial=0.0).astype(np.float64)
    return most


def _led(odds: F64) -> list[tuple[int, int, float]]:
    """Pairs of the best assignment, and by how much each leads over the best that either could do otherwise."""
    pairs = _matched(odds)
    own, place = np.zeros(len(odds)), np.full(len(odds), -1)
    for i, j in pairs:
        own[i], place[i] = odds[i, j], j
    free = np.setdiff1d(np.arange(odds.shape[1]), place)
    led = []
    for i, j in pairs:
        instead = np.where(place >= 0, np.maximum(odds[i, place], 0.0), 0.0)
        rivals = np.delete(own[i] + own - odds[:, j] - instead, i)
        others = own[i] - odds[i, free]
        led.append((i, j, float(np.concatenate([rivals, others]).min(initial=np.inf))))
    return led


def _matched(odds: F64) -> list[tuple[int, int]]:
    """Pairs of the best assignment, none of odds at or below 0."""
    gain = np.maximum(odds, 0.0)
    rows, columns = (np.flatnonzero(gain.any(axis=axis)) for axis in (1, 0))
    few = gain[np.ix_(rows, columns)]
    turned = len(rows) > len(columns)
    best = assigned(-(few.T if turned else few)).tolist()
    pairs = [(j, i) if turned else (i, j) for i, j in enumerate(best)]
    return sorted((int(rows[i]), int(columns[j])) for i, j in pairs if few[i, j] > 0)
