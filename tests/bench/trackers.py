"""Compares trackers on the same detections and vectors, beside the bound that the detections set.

`python -m tests.bench.trackers look CLIPS... -c CONFIG --cache DIR`   detects and embeds everybody, once a clip
`python -m tests.bench.trackers compare DIR... --tracker appearance --tracker bytetrack --tracker boxmot:deepocsort`

CLIPS are folders of `*.mp4` with their labels beside them. Ways to thin a clip take turns: `full`, `5` and `2` frames
a second, `drop` = one frame in three missing, drawn from a seed. The bound is IDF1 when each detection goes to the
labelled person that it overlaps by 0.5 or more, and the others to nobody. `looks` = vectors asked for over detections.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline import build
from pipeline.config import load_config
from pipeline.follow.crops import cut
from pipeline.follow.geometry import iou
from pipeline.messages import Clock, Detections, Frame
from pipeline.registry import build as make
from pipeline.settings import choose
from trainers.evaluate.frames import play
from trainers.evaluate.truth import LABEL_ENDINGS, read_labels
from trainers.metrics.tracking import Sights, TrackingCounts, pooled, tracking_counts, without_ignored

WAYS = ("full", "5", "2", "drop")
SAME_IOU = 0.5
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Looked:
    """A clip as the networks saw it: the time of each frame, its detections with their vectors, and the truth."""

    name: str
    size: tuple[int, int]
    times_s: NDArray[np.float64]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]
    truth: NDArray[np.float64]

    def frame(self, number: int) -> tuple[Detections, NDArray[np.float32]]:
        """The detections of a frame, from 0, and their vectors."""
        own = slice(self.starts[number], self.starts[number + 1])
        return Detections(self.boxes[own], self.scores[own]), self.vectors[own]

    def labels(self, kept: Sequence[int], ignored: bool = False) -> Sights:
        """Labelled frames among those kept; rows of the truth are frame, id, xyxy, 1 = ignored."""
        wanted = {}
        for number in kept:
            here = self.truth[self.truth[:, 0] == number + 1]
            if len(here):
                rows = here[here[:, 6] == ignored]
                wanted[number] = rows[:, 1].astype(np.int64), rows[:, 2:6]
        return wanted


def look(clips: Sequence[Path], config_file: Path, cache: Path) -> None:
    """Detects and embeds everybody in the clips of some folders; what is there already is left."""
    config = load_config(config_file)
    cache.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        guests = build.guests(config)
        detector, looks = (
            build.open_detector(config, opened, guests),
            build.open_looks(config, opened, guests),
        )
        for clip in sorted(clip for folder in clips for clip in folder.glob("*.mp4")):
            labels = [
                path
                for end in LABEL_ENDINGS
                if (path := clip.with_suffix("").with_name(clip.stem + end)).exists()
            ]
            kept = cache / f"{clip.parent.name}-{clip.stem}.npz"
            if kept.exists() or not labels:
                continue
            found, vectors, times_s, size = [], [], [], (0, 0)
            for frame in play(clip):
                people = detector.detect([frame])[0]
                crops = [cut(frame.image, box) for box in people.xyxy]
                found.append(people)
                vectors.append(looks.embedder.embed(crops))
                times_s.append(frame.pts_s)
                size = frame.size
            read = read_labels(labels[0])
            rows = [(label.frame, label.number, *label.box, 0) for label in read.people]
            rows += [(label.frame, label.number, *label.box, 1) for label in read.ignored]
            np.savez_compressed(
                kept, size=size, times_s=times_s, starts=np.cumsum([0, *map(len, found)]),
                boxes=np.concatenate([each.xyxy for each in found]),
                scores=np.concatenate([each.score for each in found]),
                vectors=np.concatenate(vectors), truth=np.array(rows, np.float64).reshape(-1, 7),
            )  # fmt: skip
            print(kept, flush=True)


def looked(cache: Path) -> Iterator[Looked]:
    """The clips of a folder, by name."""
    for path in sorted(cache.glob("*.npz")):
        with np.load(path) as kept:
            size = int(kept["size"][0]), int(kept["size"][1])
            arrays = [kept[name] for name in ("times_s", "starts", "boxes", "scores", "vectors", "truth")]
            yield Looked(path.stem, size, *arrays)


def thinned(times_s: NDArray[np.float64], way: str, seed: int = 0) -> list[int]:
    """Which frames are kept."""
    if way == "full":
        return list(range(len(times_s)))
    if way == "drop":
        return np.flatnonzero(np.random.default_rng(seed).random(len(times_s)) >= 1 / 3).tolist()
    ticks = np.floor(times_s * float(way) + 1e-6)
    return np.flatnonzero(np.diff(ticks, prepend=-1) > 0).tolist()


def follow(tracker: Any, clip: Looked, kept: Sequence[int]) -> tuple[Sights, int]:
    """The tracks of a clip, and how many vectors were asked for."""
    found, asked = {}, 0
    image = np.zeros((clip.size[1], clip.size[0], 3), np.uint8)
    for index, number in enumerate(kept):
        people, vectors = clip.frame(number)
        frame = Frame(clip.name, index, image, float(clip.times_s[number]), NOW, Clock.FILE, "epoch")
        given = None
        if tracker.needs_embeddings:
            given, asked = vectors, asked + len(people)
        elif getattr(tracker, "asks", False):
            rows = tracker.wanted(frame, people)
            given = np.full_like(vectors, np.nan)
            given[rows] = vectors[rows]
            asked += len(rows)
        ids = tracker.update(frame, people, given)
        found[number] = ids[ids >= 0], people.xyxy[ids >= 0].astype(np.float64)
    return found, asked


def bound(clip: Looked, truth: Sights) -> Sights:
    """Detections with the labelled person that it overlaps by 0.5 or more, at most one each, the others nobody."""
    found = {}
    for number, (ids, boxes) in truth.items():
        people, _ = clip.frame(number)
        overlap = iou(boxes.astype(np.float32), people.xyxy)
        rows, columns = linear_sum_assignment(np.where(overlap >= SAME_IOU, -overlap, 0))
        good = overlap[rows, columns] >= SAME_IOU
        found[number] = ids[rows[good]], people.xyxy[columns[good]].astype(np.float64)
    return found


def tracker_of(name: str) -> Any:
    """By the plugin's name; of boxmot's with the method behind a colon; with options as JSON behind that."""
    use, _, rest = name.partition(":")
    options = json.loads(rest) if rest.startswith("{") else {"method": rest} if rest else {}
    return make("tracker", choose(use, **options), Path(), "tracker")


def compare(folders: Sequence[Path], trackers: Sequence[str], ways: Sequence[str], each: bool) -> None:
    """Prints a row for each folder, way and tracker; for each clip too where `each`."""
    print("| clips | rate | tracker | IDF1 | of the bound | HOTA | AssA | MOTA | switches | looks |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        clips = list(looked(folder))
        for way in ways:
            kept = {clip.name: thinned(clip.times_s, way) for clip in clips}
            truths = {clip.name: clip.labels(kept[clip.name]) for clip in clips}
            bounds = [tracking_counts(truths[clip.name], bound(clip, truths[clip.name])) for clip in clips]
            best = pooled(bounds).scores().idf1
            print(f"| {folder.name} | {way} | bound | {best:.3f} | | | | | | |")
            for name in trackers:
                counts: list[TrackingCounts] = []
                asked = detections = 0
                for clip, most in zip(clips, bounds, strict=True):
                    found, more = follow(tracker_of(name), clip, kept[clip.name])
                    asked += more
                    detections += sum(len(clip.frame(number)[0]) for number in kept[clip.name])
                    truth = truths[clip.name]
                    left = without_ignored(truth, clip.labels(kept[clip.name], ignored=True), found)
                    counts.append(tracking_counts(truth, left))
                    if each:
                        one = counts[-1].scores()
                        print(
                            f"  {clip.name} {one.idf1:.3f} of {most.scores().idf1:.3f}, {one.switches} switches"
                        )
                s = pooled(counts).scores()
                print(
                    f"| {folder.name} | {way} | {name} | {s.idf1:.3f} | {s.idf1 / best:.3f} | {s.hota:.3f} |"
                    f" {s.ass_a:.3f} | {s.mota:.3f} | {s.switches} | {asked / max(1, detections):.2f} |",
                    flush=True,
                )


def main(arguments: Sequence[str] | None = None) -> None:
    """The commands of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    looking = commands.add_parser("look")
    looking.add_argument("clips", nargs="+", type=Path)
    looking.add_argument("-c", "--config", type=Path, required=True)
    looking.add_argument("--cache", type=Path, required=True)
    comparing = commands.add_parser("compare")
    comparing.add_argument("cache", nargs="+", type=Path)
    comparing.add_argument("--tracker", action="append", required=True)
    comparing.add_argument("--way", action="append", help=f"else {', '.join(WAYS)}")
    comparing.add_argument("--each", action="store_true", help="a line for each clip too")
    given = parser.parse_args(arguments)
    if given.command == "look":
        look(given.clips, given.config, given.cache)
    else:
        compare(given.cache, given.tracker, given.way or WAYS, given.each)


if __name__ == "__main__":
    main()
