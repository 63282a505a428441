"""Asks the engines about single frames of labelled clips: was a person found there, and how near are they?

The main job gives hits only. To say why somebody was missed, the detector and the embedder look again, once a
second, at the frames where the labels say who is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.follow.crops import cut
from pipeline.follow.geometry import iou
from pipeline.follow.squared import detect, widened
from pipeline.messages import Frame
from pipeline.protocols import Detector, Embedder
from trainers.evaluate.frames import frames_at
from trainers.metrics.alerts import MIN_IOU, Appearance, PersonLabels, StreamTruth


@dataclass(frozen=True, slots=True)
class Sight:
    """One labelled person in one frame.

    Attributes:
        stream_id: The stream.
        person_id: Who it is.
        pts_s: When.
        height_px: Height of the label.
        embedding: (D,) of the detection on the person, or None when the detector found nobody there.
    """

    stream_id: str
    person_id: str
    pts_s: float
    height_px: float
    embedding: NDArray[np.float32] | None


def look(
    clip: Path, stream: StreamTruth, detector: Detector, embedder: Embedder, every_s: float = 1.0
) -> list[Sight]:
    """All sights of a clip, one frame every `every_s` seconds.

    Raises:
        InputError: The file is no video, or damaged.
    """
    times_s = np.arange(every_s / 2, stream.seconds, every_s)
    sights: list[Sight] = []
    for frame in frames_at(clip, (float(time_s) for time_s in times_s)).values():
        there = who_is_labelled(stream.labels, frame.pts_s, every_s / 4)
        if there:
            sights += _look_at(frame, stream.stream_id, there, detector, embedder)
    return sights


def who_is_labelled(
    labels: Mapping[str, PersonLabels], pts_s: float, within_s: float
) -> dict[str, NDArray[np.float32]]:
    """Box (4,) of each person labelled at that time, give or take `within_s`."""
    there = {}
    for person, own in labels.items():
        away_s = np.abs(own.times_s - pts_s)
        if len(away_s) and away_s.min() <= within_s:
            there[person] = own.boxes[int(away_s.argmin())]
    return there


def why_missed(
    stay: Appearance,
    sights: Sequence[Sight],
    enrolled: Mapping[str, NDArray[np.float32]],
    max_distance: float,
) -> str:
    """The likely reason in one line, from what the engines say of the person during the stay.

    Args:
        stay: The missed appearance.
        sights: Of all streams.
        enrolled: Unit vector (D,) of each identity.
        max_distance: The cut.
    """
    own = [
        sight
        for sight in sights
        if (sight.stream_id, sight.person_id) == (stay.stream_id, stay.person_id)
        and stay.start_s <= sight.pts_s <= stay.end_s
    ]
    found = [sight.embedding for sight in own if sight.embedding is not None]
    looked = f"{len(found)} of {len(own)} frames looked at"
    if not own:
        return "labelled in no frame looked at"
    if not found:
        return f"the detector found them in {looked}"
    distances = {
        person: [float(np.linalg.norm(seen - vector)) for seen in found]
        for person, vector in enrolled.items()
    }
    nearest = min(distances[stay.person_id])
    if nearest > max_distance:
        return f"found in {looked}, but never nearer than {nearest:.2f} (cut {max_distance:.2f})"
    best = distances[stay.person_id].index(nearest)
    rival = min(distances, key=lambda person: distances[person][best])
    if rival != stay.person_id:
        return (
            f"found in {looked}, but nearer to {rival} ({distances[rival][best]:.2f} against {nearest:.2f})"
        )
    return f"found in {looked} and near enough once ({nearest:.2f}): not followed for long enough"


def _look_at(
    frame: Frame,
    stream_id: str,
    there: Mapping[str, NDArray[np.float32]],
    detector: Detector,
    embedder: Embedder,
) -> list[Sight]:
    detections = detect(detector, [frame], cv2.resize)[0]
    overlaps = iou(np.stack(list(there.values())), detections.xyxy)
    best = overlaps.argmax(axis=1) if len(detections) else np.zeros(len(there), int)
    hit = [
        bool(len(detections)) and row[column] >= MIN_IOU for row, column in zip(overlaps, best, strict=True)
    ]
    crops = [
        widened(cut(frame.image, detections.xyxy[column]), frame.pixel_aspect, cv2.resize)
        for column, on in zip(best, hit, strict=True)
        if on
    ]
    rows = iter(embedder.embed(crops) if crops else ())
    return [
        Sight(stream_id, person, frame.pts_s, float(box[3] - box[1]), next(rows) if on else None)
        for (person, box), on in zip(there.items(), hit, strict=True)
    ]
