"""Genuine and impostor pairs of clips: who is seen in them, and how near they come to everybody enrolled.

A search is a track, as a run follows it, and its distance the nearest of its questions, since any of them may open a
hit. Distances are those that are decided by: of the verifier where it fuses, asked about everybody.

Whom a track shows, the labels say. With `presence.csv` people keep their numbers from clip to clip, and those with a
photo in `enrol/` are enrolled; else everybody is enrolled from the clip itself as `evaluate clips` does, and found in
the second half of their span.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.build import Judges, Looks
from pipeline.config import Config
from pipeline.desk.desk import Desk
from pipeline.desk.equipment import Equipment
from pipeline.errors import InputError
from pipeline.follow.geometry import iou
from pipeline.messages import Candidate, TrackKey, Tracklet
from pipeline.output import say
from pipeline.plugged import PluggedDetector, PluggedVerifier
from pipeline.watchlist.snapshot import WatchlistSnapshot
from trainers.evaluate.clips import enrol_only, measuring, save_photos
from trainers.evaluate.enrolling import Photo
from trainers.evaluate.labelled import Person, read_labelled_clips
from trainers.evaluate.pairs import UNKNOWN, Pairs, by_kind, engines_of
from trainers.evaluate.passes import Pass, record, remembered_detections, remembered_vectors
from trainers.evaluate.sights import who_is_labelled
from trainers.evaluate.truth import PRESENCE, clip_facts, read_truth
from trainers.metrics.alerts import DAY_S, MIN_IOU, NEAREST_LABEL_S, StreamTruth
from trainers.metrics.impostors import Searches

NOBODY = ""
"""A track of no labelled person: somebody not enrolled."""

_CLEAR = 0.1  # IoU with everybody labelled, below which a track is of nobody


@dataclass(frozen=True, slots=True)
class Footage:
    """Clips by name; who is in them, where that is known; those enrolled from a clip, found in its second half."""

    clips: Mapping[str, Path]
    truth: Mapping[str, StreamTruth] = field(default_factory=dict)
    halves: Sequence[Person] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """A track: whom it shows, (R,) distances to the rows, and of whom alone they count (None = of all)."""

    person: str
    distances: NDArray[np.float64]
    only: str | None = None


def clip_pairs(folder: Path, config: Config, *, assume_impostors: bool = False) -> Pairs:
    """Pairs of a folder of clips.

    Args:
        folder: `*.mp4`, with labels beside them unless all are impostors.
        config: Its engines see them.
        assume_impostors: Nobody on the config's own watchlist is in any of the clips.

    Raises:
        ConfigError: A part of the config cannot start.
        InputError: No clips, a damaged one, nobody enrolled, or nobody seen.
    """
    with TemporaryDirectory(prefix="musewatch-") as work, ExitStack() as opened:
        here = config if assume_impostors else measuring(config, Path(work))
        guests = build.guests(here)
        detector = remembered_detections(build.open_detector(here, opened, guests))
        plain = build.open_looks(here, opened, guests)
        looks = replace(plain, embedder=remembered_vectors(plain.embedder))
        judges = build.open_judges(here, opened, guests)
        footage = (
            Footage(_clips(folder))
            if assume_impostors
            else _enrolled(folder, here, looks, judges, Path(work))
        )
        watchlist = build.follower(looks, judges).refresh(datetime.now(UTC))
        if watchlist is None or not len(watchlist):
            raise InputError("nobody is enrolled", "add people with `musewatch watchlist add`")
        searches = list(_searches(here, detector, looks, footage, _Comparison(watchlist, judges.verifier)))
        engines = engines_of(plain.embedder, judges.verifier, detector.facts.engine_digest)
    if not searches:
        raise InputError(f"nobody was followed in the clips of {folder}", "is the detector right for them?")
    days = sum(clip_facts(path).seconds for path in footage.clips.values()) / DAY_S
    seen = sum(search.only is None for search in searches)
    return Pairs(by_kind(_table(searches, watchlist, footage), watchlist.is_text), engines, seen / days)


def _clips(folder: Path) -> dict[str, Path]:
    clips = {path.stem: path for path in sorted(folder.glob("*.mp4"))}
    if not clips:
        raise InputError(f"there is no *.mp4 in {folder}", "give the folder of your clips")
    return clips


def _enrolled(folder: Path, config: Config, looks: Looks, judges: Judges, work: Path) -> Footage:
    """The labelled clips of a folder; their people are on the watchlist then."""
    desk = Desk(judges.watchlist, Equipment(config, looks))
    if (folder / PRESENCE).is_file():
        photos = [Photo(path.stem, path.stem, path) for path in sorted((folder / "enrol").glob("*.jpg"))]
        enrol_only(desk, photos)
        return Footage(_clips(folder), {stream.stream_id: stream for stream in read_truth(folder)})
    labelled = read_labelled_clips(folder)
    enrol_only(desk, save_photos(looks.codec, labelled, work / "enrol").values())
    return Footage(labelled.clips, labelled.truth, labelled.people)


class _Comparison:
    """A watchlist, and the verifier that is asked about every row of it."""

    def __init__(self, watchlist: WatchlistSnapshot, verifier: PluggedVerifier) -> None:
        self._watchlist, self._verifier = watchlist, verifier
        ids = watchlist.enrolment_ids.tolist()
        self._enrolled = watchlist.look_up(ids, pictures=verifier.facts.needs_pictures)
        self._place = {id_: row for row, id_ in enumerate(ids)}

    def distances(self, tracklet: Tracklet) -> NDArray[np.float64]:
        """(R,) to every row; NaN to one whose picture was erased meanwhile."""
        watchlist = self._watchlist
        raw = np.sqrt(np.clip(2 - 2 * (watchlist.vectors.astype(np.float32) @ tracklet.embedding), 0, 4))
        order = np.argsort(raw, kind="stable")
        asked = [
            Candidate(watchlist.identity_ids[row], id_, float(raw[row]), rank, bool(watchlist.is_text[row]))
            for rank, row in enumerate(order.tolist(), start=1)
            if (id_ := int(watchlist.enrolment_ids[row])) in self._enrolled
        ]
        found = np.full(len(watchlist), np.nan)
        pairs = [(candidate, self._enrolled[candidate.enrolment_id]) for candidate in asked]
        for verdict in self._verifier.verify([(tracklet, pairs)])[0]:
            found[self._place[verdict.candidate.enrolment_id]] = verdict.fused
        return found


def _searches(
    config: Config, detector: PluggedDetector, looks: Looks, footage: Footage, compared: _Comparison
) -> Iterator[Search]:
    for name, clip in footage.clips.items():
        say(f"{name}: whole")
        yield from _tracks(record(config, detector, looks, clip), footage.truth.get(name), compared)
    for person in footage.halves:
        home = person.stay.stream_id
        say(f"{home}: person {person.number}")
        asked = record(config, detector, looks, footage.clips[home], [(person.stay.start_s, person.middle_s)])
        for search in _tracks(asked, footage.truth[home], compared):
            if search.person == person.id:
                yield replace(search, only=person.id)


def _tracks(asked: Pass, truth: StreamTruth | None, compared: _Comparison) -> Iterator[Search]:
    """One search for each track and person that it shows."""
    nearest: dict[tuple[TrackKey, str], NDArray[np.float64]] = {}
    for tracklet in (each for tracklets in asked for each in tracklets):
        person = NOBODY if truth is None else _who(tracklet, truth)
        if person is not None:
            key, found = (tracklet.key, person), compared.distances(tracklet)
            nearest[key] = np.fmin(nearest[key], found) if key in nearest else found
    for (_, person), distances in nearest.items():
        yield Search(person, distances)


def _who(tracklet: Tracklet, truth: StreamTruth) -> str | None:
    """Whom a question shows; None where that is not clear."""
    there = who_is_labelled(truth.labels, tracklet.best.pts_s, NEAREST_LABEL_S)
    near = np.abs(truth.ignored.times_s - tracklet.best.pts_s) <= NEAREST_LABEL_S
    boxes = [*there.values(), *truth.ignored.boxes[near]]
    if not boxes:
        return NOBODY
    overlaps = iou(np.array([tracklet.best.box], np.float32), np.stack(boxes))[0]
    best = int(overlaps.argmax())
    if overlaps[best] < _CLEAR:
        return NOBODY
    return list(there)[best] if best < len(there) and overlaps[best] >= MIN_IOU else None


def _table(searches: Sequence[Search], watchlist: WatchlistSnapshot, footage: Footage) -> Searches:
    distances = np.stack([search.distances for search in searches])
    rows = np.array(watchlist.identity_ids)
    people = np.array([search.person for search in searches])
    same = people[:, None] == rows
    only = np.array([search.only is not None for search in searches])[:, None]
    from_clip = np.isin(rows, [person.id for person in footage.halves])
    known = np.isfinite(distances)
    return Searches(
        distances,
        same & known & (only | ~from_clip),
        ~same & known & ~only,
        _numbers(people, UNKNOWN),
        np.unique(rows, return_inverse=True)[1].astype(np.int64),
    )


def _numbers(people: NDArray[np.str_], unknown: int) -> NDArray[np.int64]:
    """A number for each person; whoever is nobody has one of their own, below `unknown`."""
    numbers = np.unique(people, return_inverse=True)[1].astype(np.int64)
    result: NDArray[np.int64] = np.where(people == NOBODY, unknown - 1 - np.arange(len(people)), numbers)
    return result
