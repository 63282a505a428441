"""Collects what a report shows: evidence, stills, and the missed at their best moment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.crops import cut
from pipeline.follow.geometry import area, intersection, iou
from pipeline.protocols import Codec
from pipeline.registry import build
from pipeline.settings import choose
from trainers.evaluate.frames import frames_at
from trainers.evaluate.report.content import HitDetail, MissedDetail, Still
from trainers.evaluate.sights import who_is_labelled
from trainers.metrics.alerts import (
    MIN_IOU,
    NEAREST_LABEL_S,
    AlertScores,
    Appearance,
    JudgedHit,
    PersonLabels,
    StreamTruth,
)

STILL_WIDTH = 600
CROP_HEIGHT = 330
CLEAR_HEIGHT_PX = 80
AROUND = 0.12  # of a box's size is shown around it


@dataclass(frozen=True, slots=True)
class Moment:
    """One person in one stream when best to be seen; box (4,) in source pixels."""

    stream_id: str
    pts_s: float
    box: NDArray[np.float32]


def hit_details(
    scores: AlertScores, events: Iterable[Mapping[str, Any]], truth: Iterable[StreamTruth], evidence: Path
) -> dict[str, HitDetail]:
    """Details of the revision that is shown for each hit, by hit id.

    Args:
        scores: Which hits there are.
        events: Events of the hits.
        truth: To say who a wrong hit shows.
        evidence: Folder of the pictures, `<sha256>.jpg`.
    """
    labels = {stream.stream_id: stream.labels for stream in truth}
    revisions = {(event["data"]["hit_id"], event["data"]["revision"]): event["data"] for event in events}
    details = {}
    for judged in scores.hits:
        data = revisions[judged.hit.hit_id, judged.hit.revision]
        details[judged.hit.hit_id] = HitDetail(
            crop=_evidence(evidence, data["best"]["crop"]),
            distance=data["decision"]["distance"],
            max_distance=data["decision"]["max_distance"],
            margin=data["decision"]["margin"],
            shows=_who(judged, labels.get(judged.hit.stream_id, {})),
        )
    return details


def stills(
    truth: Iterable[StreamTruth], clips: Mapping[str, Path], people: Sequence[str]
) -> dict[str, Still]:
    """A frame of each stream in which most of `people` are to be seen, by stream id."""
    codec: Codec = build("codec", choose("opencv"), Path(), "report")
    result = {}
    for stream in truth:
        if stream.stream_id not in clips:
            continue
        pts_s = _fullest(stream, people)
        frame = frames_at(clips[stream.stream_id], [pts_s])[pts_s]
        boxes = who_is_labelled(stream.labels, frame.pts_s, NEAREST_LABEL_S / 2)
        size = frame.size
        small = codec.resize(frame.image, (STILL_WIDTH, round(STILL_WIDTH * size[1] / size[0])))
        outlines = {who: (float(b[0]), float(b[1]), float(b[2]), float(b[3])) for who, b in boxes.items()}
        result[stream.stream_id] = Still(codec.encode(small, 82), frame.pts_s, size, outlines)
    return result


def missed_details(
    scores: AlertScores,
    truth: Iterable[StreamTruth],
    clips: Mapping[str, Path],
    reasons: Mapping[Appearance, str],
) -> dict[Appearance, MissedDetail]:
    """Each missed appearance when best to be seen, which is when they are tallest."""
    streams = {stream.stream_id: stream for stream in truth}
    stays = [item.appearance for item in scores.appearances if item.missed]
    best = {stay: tallest(stay, streams[stay.stream_id].labels.get(stay.person_id)) for stay in stays}
    frames = {
        name: frames_at(clip, [m.pts_s for m in best.values() if m is not None and m.stream_id == name])
        for name, clip in clips.items()
    }
    codec: Codec = build("codec", choose("opencv"), Path(), "report")
    details = {}
    for stay, moment in best.items():
        why = reasons.get(stay, "")
        if moment is None or moment.stream_id not in clips:
            details[stay] = MissedDetail(None, stay.start_s, 0.0, why)
            continue
        picture = crop_around(codec, frames[moment.stream_id][moment.pts_s].image, moment.box)
        details[stay] = MissedDetail(picture, moment.pts_s, float(moment.box[3] - moment.box[1]), why)
    return details


def tallest(stay: Appearance, labels: PersonLabels | None) -> Moment | None:
    """When the person's label is tallest during a stay; None when there is no label in it."""
    if labels is None:
        return None
    rows = np.flatnonzero((labels.times_s >= stay.start_s) & (labels.times_s <= stay.end_s))
    if not len(rows):
        return None
    heights = labels.boxes[rows, 3] - labels.boxes[rows, 1]
    row = rows[int(heights.argmax())]
    return Moment(stay.stream_id, float(labels.times_s[row]), labels.boxes[row])


def crop_around(codec: Codec, image: NDArray[np.uint8], box: NDArray[np.float32]) -> bytes:
    """JPEG of a person with a little of what is around, at most `CROP_HEIGHT` tall."""
    edge = AROUND * (box[2:] - box[:2]) / 2
    image = cut(image, np.concatenate([box[:2] - edge, box[2:] + edge]).astype(np.float32))
    if image.shape[0] > CROP_HEIGHT:
        image = codec.resize(
            image, (max(1, round(image.shape[1] * CROP_HEIGHT / image.shape[0])), CROP_HEIGHT)
        )
    return codec.encode(image, 88)


def _evidence(folder: Path, reference: Mapping[str, Any] | None) -> bytes | None:
    path = folder / f"{reference['sha256']}.jpg" if reference else None
    return path.read_bytes() if path and path.is_file() else None


def _who(judged: JudgedHit, labels: Mapping[str, PersonLabels]) -> str | None:
    """Person id of who is labelled in the hit's box."""
    there = who_is_labelled(labels, judged.hit.best_pts_s, NEAREST_LABEL_S)
    if not there:
        return None
    overlaps = iou(np.array([judged.hit.best_box], np.float32), np.stack(list(there.values())))[0]
    best = int(overlaps.argmax())
    return list(there)[best] if overlaps[best] >= MIN_IOU else None


def _fullest(stream: StreamTruth, people: Sequence[str]) -> float:
    """When most of `people` are to be seen well, then when most of all are; half way when nobody is."""
    times_s = sorted({float(time_s) for own in stream.labels.values() for time_s in own.times_s})

    def seen(time_s: float) -> tuple[int, int]:
        clear = clear_to_see(who_is_labelled(stream.labels, time_s, 1e-3))
        return len(clear & set(people)), len(clear)

    return max(times_s, key=seen, default=stream.seconds / 2)


def clear_to_see(boxes: Mapping[str, NDArray[np.float32]]) -> set[str]:
    """Who is tall enough and not covered by another's box for more than a third."""
    if not boxes:
        return set()
    names, rows = list(boxes), np.stack(list(boxes.values()))
    covered = intersection(rows, rows) / np.maximum(area(rows), 1)[:, None]
    np.fill_diagonal(covered, 0)
    tall = rows[:, 3] - rows[:, 1] >= CLEAR_HEIGHT_PX
    return {name for name, yes in zip(names, tall & (covered.max(axis=1) < 1 / 3), strict=True) if yes}
