"""Whom hits show where people cross: the person found, or somebody who stood in the way.

`python -m tests.bench.evidence FOLDER... [-c CONFIG] [--cache DIR] [--every N] [--out HITS.jsonl]`

Each FOLDER is what `tests.bench.crossings` or `musewatch world clips` leaves. Everybody of `enrol/` is enrolled
together and looked for in every clip, in one loop without threads; the networks and the tracker are the config's (the
demo's), nobody is cooled down. Prints hits right, wrong and retracted by the rules of `evaluate alerts`, of the wrong
ones those that show the other of a crossing, and what became of the tracks of all crossing pairs: `kept` their number
from before to after, `swapped` has that of the other, `renewed` another; and how often a hit went on with a track of
its own person. `--cache` keeps what the detector said.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.config import load_config
from pipeline.deliver.events import to_event
from pipeline.desk.desk import Desk
from pipeline.desk.equipment import Equipment
from pipeline.errors import InputError
from pipeline.follow.geometry import iou
from pipeline.messages import Detections, Frame, Hit, Seen
from pipeline.protocols import Detector
from pipeline.runner.inline import Inline, InlineFront
from trainers.evaluate.clips import measuring
from trainers.evaluate.demo import CONFIG, read_photos
from trainers.evaluate.enrolling import enrol_photo
from trainers.evaluate.frames import play
from trainers.evaluate.hits_file import hit_of
from trainers.evaluate.passes import remembered_vectors
from trainers.evaluate.sights import who_is_labelled
from trainers.evaluate.truth import read_truth
from trainers.metrics.alerts import MIN_IOU, HitRevision, StreamTruth, overlap_with_nearest, score_alerts

CROSSINGS_FILE = "crossings.json"
AROUND_S = 1.0  # before a crossing and after it, when tracks are looked at
LABELLED_S = 0.02


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of a clip: events of hits, and at each time the box (4,) of each track."""

    events: list[dict[str, Any]]
    tracks: list[tuple[float, dict[int, NDArray[np.float32]]]]


class CachedDetector:
    """Asks about each frame of a clip once, in all runs with the same folder."""

    def __init__(self, detector: Detector, folder: Path) -> None:
        self._detector, self._folder = detector, folder
        folder.mkdir(parents=True, exist_ok=True)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame: Frame) -> Detections:
        path = self._folder / f"{frame.stream_id}-{frame.index}.npy"
        if path.is_file():
            rows = np.load(path)
            return Detections(rows[:, :4], rows[:, 4])
        (found,) = self._detector.detect([frame])
        np.save(path, np.column_stack([found.xyxy, found.score]).astype(np.float32))
        return found


def watch_all(
    folder: Path, config_file: Path, cache: Path | None, every: int
) -> tuple[dict[str, Watched], float]:
    """What comes of each clip of a folder, and how many crops were embedded a frame."""
    with tempfile.TemporaryDirectory() as out, ExitStack() as opened:
        config = measuring(load_config(config_file), Path(out))
        config = config.model_copy(
            update={"decision": config.decision.model_copy(update={"cooldown_s": 0.0})}
        )
        guests = build.guests(config)
        detector = build.open_detector(config, opened, guests)
        if cache is not None:
            cached = CachedDetector(detector.plugin, cache / folder.name)
            detector = replace(detector, plugin=cached)
        looks = build.open_looks(config, opened, guests)
        judges = build.open_judges(config, opened, guests)
        desk = Desk(judges.watchlist, Equipment(config, looks))
        for photo in read_photos(folder):
            try:
                enrol_photo(desk, photo)
            except InputError as error:
                print(f"{folder.name}: {error}")
        counted = remembered_vectors(looks.embedder)
        watched, frames = {}, 0
        for clip in sorted(folder.glob("*.mp4")):
            stage = build.identify_stage(config, looks, judges, time.time)
            snapshot = build.follower(looks, judges).refresh(None)
            if snapshot is not None:
                stage.use(snapshot)
            front = InlineFront(
                *build.front_stages(config, detector, replace(looks, embedder=counted), _fail)
            )
            inline = Inline(front, stage)
            shown = [replace(frame, stream_id=clip.stem) for frame in play(clip) if frame.index % every == 0]
            frames += len(shown)
            watched[clip.stem] = _watch(inline, shown, config.site)
        return watched, len(counted.plugin._known) / max(frames, 1)


def _fail(stream_id: str, error: Exception) -> None:
    del stream_id
    raise error


def _watch(inline: Inline, frames: Sequence[Frame], site: str) -> Watched:
    hits: list[Hit] = []
    tracks = []
    for frame in frames:
        seen, new = inline.push(frame)
        hits += new
        tracks.append((frame.pts_s, _boxes(seen)))
    hits += inline.finish()
    return Watched([to_event(hit, site) for hit in hits], tracks)


def _boxes(seen: Seen) -> dict[int, NDArray[np.float32]]:
    return {int(own): box for own, box in zip(seen.track_ids, seen.detections.xyxy, strict=True) if own >= 0}


def fate_of(who: str, other: str, row: dict[str, Any], truth: StreamTruth, watched: Watched) -> str:
    """What became of the track of one of a crossing pair: kept, swapped, renewed, or unseen on a side."""
    before = _numbers(who, (row["start_s"] - AROUND_S, row["start_s"]), truth, watched)
    others = _numbers(other, (row["start_s"] - AROUND_S, row["start_s"]), truth, watched)
    after = _numbers(who, (row["end_s"], row["end_s"] + 2 * AROUND_S), truth, watched)
    if not before or not after:
        return "unseen"
    last = after[-1]
    if last == before[-1]:
        return "kept"
    return "swapped" if others and last == others[-1] else "renewed"


def _numbers(who: str, span: tuple[float, float], truth: StreamTruth, watched: Watched) -> list[int]:
    """Numbers of the tracks that a person had in that time."""
    numbers = []
    for pts_s, tracks in watched.tracks:
        if not span[0] <= pts_s <= span[1] or not tracks:
            continue
        there = who_is_labelled(truth.labels, pts_s, LABELLED_S)
        if who not in there:
            continue
        overlaps = iou(there[who][None], np.stack(list(tracks.values())))[0]
        if overlaps.max() >= 0.5:
            numbers.append(list(tracks)[int(overlaps.argmax())])
    return numbers


def shown_person(hit: HitRevision, truth: StreamTruth) -> str | None:
    """Whose box the picture of a hit fits best."""
    fits = {
        who: overlap_with_nearest(hit.best_box, hit.best_pts_s, own) or 0.0
        for who, own in truth.labels.items()
    }
    best = max(fits, key=lambda who: fits[who], default=None)
    return best if best is not None and fits[best] >= MIN_IOU else None


def continued(watched: Watched, truth: StreamTruth) -> list[bool]:
    """Of each time that a hit went on with another track, whether that one followed the hit's person."""
    rightly, track_of = [], dict[str, int]()
    for data in (event["data"] for event in watched.events):
        before = track_of.setdefault(data["hit_id"], data["track_id"])
        if data["track_id"] != before:
            track_of[data["hit_id"]] = data["track_id"]
            who = _followed(data["track_id"], data["last_pts_s"], truth, watched)
            rightly.append(who == data["identity"]["id"])
    return rightly


def _followed(track_id: int, pts_s: float, truth: StreamTruth, watched: Watched) -> str | None:
    """Whom a track's last box by that time fits best."""
    at_s, box = [
        (at_s, tracks[track_id])
        for at_s, tracks in watched.tracks
        if track_id in tracks and at_s <= pts_s + LABELLED_S
    ][-1]
    there = who_is_labelled(truth.labels, at_s, LABELLED_S)
    fits = {who: float(iou(label[None], box[None])[0, 0]) for who, label in there.items()}
    best = max(fits, key=lambda who: fits[who], default=None)
    return best if best is not None and fits[best] >= MIN_IOU else None


def count(folder: Path, watched: dict[str, Watched]) -> Counter[str]:
    """The figures of one folder."""
    truth = {stream.stream_id: stream for stream in read_truth(folder)}
    revisions = [hit_of(event) for each in watched.values() for event in each.events]
    enrolled = {photo.id for photo in read_photos(folder)}
    scores = score_alerts(revisions, list(truth.values()), enrolled)
    crossings = folder / CROSSINGS_FILE
    rows = json.loads(crossings.read_text(encoding="utf-8")) if crossings.is_file() else []
    pairs = {(row["stream_id"], frozenset((row["front"], row["behind"]))) for row in rows}
    counts: Counter[str] = Counter(pairs=len(rows), right=scores.right, missed=scores.missed)
    counts.update(wrong=scores.wrong, retracted=scores.retracted)
    own = {hit: [each for each in revisions if each.hit_id == hit] for hit in {r.hit_id for r in revisions}}
    for judged in scores.hits:
        stream = truth[judged.hit.stream_id]
        pictures = [each for each in own[judged.hit.hit_id] if not each.retracted]
        others = {shown_person(each, stream) for each in pictures} - {judged.hit.identity_id, None}
        crossed = any((stream.stream_id, frozenset((judged.hit.identity_id, who))) in pairs for who in others)
        counts["shows the other of a pair"] += crossed
        counts["shows anybody else"] += bool(others)
        counts["retracted, had shown others"] += bool(others) and any(
            e.retracted for e in own[judged.hit.hit_id]
        )
    for stream_id, each in watched.items():
        for rightly in continued(each, truth[stream_id]):
            counts["continued by their own track" if rightly else "continued by another's"] += 1
    for row in rows:
        for who, other in (("front", "behind"), ("behind", "front")):
            stream_id = row["stream_id"]
            counts[fate_of(row[who], row[other], row, truth[stream_id], watched[stream_id])] += 1
    return counts


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-c", "--config", type=Path, default=CONFIG)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--every", type=int, default=1, help="looks at one frame in N")
    parser.add_argument("--out", type=Path, help="the events, one a line")
    given = parser.parse_args()
    total: Counter[str] = Counter()
    lines = []
    for folder in given.folders:
        watched, embedded = watch_all(folder, given.config, given.cache, given.every)
        counts = count(folder, watched)
        total += counts
        print(f"{folder.name}: {dict(counts)}; {embedded:.2f} crops embedded a frame")
        lines += [json.dumps(event) for each in watched.values() for event in each.events]
    print(f"all: {dict(total)}")
    if given.out is not None:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
