"""Who is found at which frame rate, how soon, and at what cost: labelled clips, their frames thinned.

`python -m tests.bench.rates FOLDER [-c CONFIG] [--cache DIR] [--fps 30 12 4 2 1 0.5] [--phases 3]`

FOLDER is one of labelled clips, as `evaluate clips` reads it (everybody is enrolled as there, from their label nearest
to a quarter of their span, and no frame within 0.2 s of that is shown), or what `musewatch world clips` leaves
(enrolled from `enrol/`). All are enrolled together and looked for in every clip, in one loop without threads, so that
no figure depends on the machine's load; nobody is cooled down. A rate above the clip's own is the clip's own. A slow
rate begins at different moments of the clip, `--phases` of them, and the rows are of all. Right, wrong and found are
counted as by `evaluate alerts`; the seconds are of the stream, from the first frame in which an enrolled person is
visible (half of it, 40 px tall, by the labels) until the first right hit of that appearance was decided. Beside them
the same of an oracle that knows where everybody is and asks about each frame alone, by the whole cut.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import build
from pipeline.build import Judges, Looks
from pipeline.config import Config, load_config
from pipeline.deliver.events import to_event
from pipeline.desk.desk import Desk
from pipeline.desk.equipment import Equipment
from pipeline.messages import Frame
from pipeline.plugged import PluggedDetector
from pipeline.runner.inline import InlineFront
from tests.bench.evidence import CachedDetector
from tests.bench.oracle import Oracle
from tests.bench.visible import Moments, visible_from, visible_moments
from trainers.evaluate.clips import enrol_only, measuring, save_photos
from trainers.evaluate.demo import CONFIG, read_photos
from trainers.evaluate.enrolling import Photo
from trainers.evaluate.frames import play
from trainers.evaluate.hits_file import hit_of
from trainers.evaluate.labelled import read_labelled_clips
from trainers.evaluate.passes import remembered_vectors
from trainers.evaluate.truth import LABEL_ENDINGS, PRESENCE, clip_facts, read_truth
from trainers.metrics.alerts import AlertScores, Appearance, StreamTruth, score_alerts

RATES = (30.0, 12.0, 4.0, 2.0, 1.0, 0.5)
AROUND_PHOTO_S = 0.2  # no frame so near to an enrolled picture is shown


@dataclass(slots=True)
class Row:
    """What came of all clips at one rate."""

    frames: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)
    oracle_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def text(self, fps: float) -> str:
        """A line of the table."""
        count, total = self.counts, self.counts["found"] + self.counts["missed"]
        late = [_percentile(waits, at) for waits in (self.waited_s, self.oracle_s) for at in (50, 95)]
        each_ms = 1e3 * self.cpu_s / max(self.frames, 1)
        return (
            f"{fps:6g} {count['found']:5} of {total:3} {count['wrong']:6} {count['retracted']:9} {late[0]:6.2f} "
            f"{late[1]:6.2f} {late[2]:7.2f} {late[3]:6.2f} {self.frames:7} {count['questions']:9} {each_ms:8.2f}"
        )


HEAD = (
    f"{'fps':>6} {'found':>12} {'wrong':>6} {'retracted':>9} {'p50 s':>6} {'p95 s':>6} "
    f"{'oracle:':>7} {'p95 s':>6} {'frames':>7} {'questions':>9} {'CPU ms/f':>8}"
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A folder's clips and what is known of them; `photos` are (person, seconds) of enrolled frames, by clip."""

    clips: dict[str, Path]
    truth: dict[str, StreamTruth]
    numbers: dict[str, int]
    taken_at: dict[str, list[float]]
    photos: list[Photo]
    moments: dict[str, Moments]


def read(folder: Path, looks: Looks, out: Path) -> Labelled:
    """The clips of either kind of folder; pictures of people to enrol are written to `out`."""
    taken_at: dict[str, list[float]] = {}
    if (folder / PRESENCE).exists():
        truth = {stream.stream_id: stream for stream in read_truth(folder)}
        clips = {name: folder / f"{name}.mp4" for name in truth}
        photos = read_photos(folder)
        numbers = {photo.id: int(photo.id.removeprefix("p")) for photo in photos}
    else:
        labelled = read_labelled_clips(folder)
        clips, truth = labelled.clips, labelled.truth
        photos = list(save_photos(looks.codec, labelled, out).values())
        numbers = {person.id: int(person.number) for person in labelled.people}
        for person in labelled.people:
            taken_at.setdefault(person.stay.stream_id, []).append(person.photo_s)
    moments = {}
    for name, clip in clips.items():
        files = [clip.with_name(f"{name}{ending}") for ending in LABEL_ENDINGS]
        label_file = next((path for path in files if path.is_file()), files[0])
        moments[name] = visible_moments(label_file, clip_facts(clip).time_of)
    return Labelled(clips, truth, numbers, taken_at, photos, moments)


def thinned(frames: Sequence[Frame], fps: float, begin_s: float) -> Iterator[Frame]:
    """At most so many a second of the stream, the first at or after `begin_s`."""
    due_s = begin_s
    for frame in frames:
        if frame.pts_s >= due_s - 1e-3:
            yield frame
            due_s = max(due_s + 1 / fps, frame.pts_s + 0.5 / fps)


class Bench:
    """The main job over frames in memory, vectors and detections made once for all rates."""

    def __init__(self, config: Config, detector: PluggedDetector, looks: Looks, judges: Judges) -> None:
        self._config, self._detector, self._judges = config, detector, judges
        self._looks = replace(looks, embedder=remembered_vectors(looks.embedder))

    def watch(self, frames: Sequence[Frame], row: Row) -> list[dict[str, object]]:
        """The events of one stream; what it took goes into the row."""
        config = self._config
        stage = build.identify_stage(config, self._looks, self._judges, time.time)
        snapshot = build.follower(self._looks, self._judges).refresh(None)
        if snapshot is not None:
            stage.use(snapshot)
        front = InlineFront(*build.front_stages(config, self._detector, self._looks, _fail))
        hits = []
        begun_s = time.process_time()
        for frame in (*frames, None):
            asked = front.finish() if frame is None else front.push(frame)[1]
            row.counts["questions"] += len(asked)
            hits += list(stage.on_batch(asked)) if asked else []
        row.cpu_s += time.process_time() - begun_s
        row.frames += len(frames)
        return [to_event(hit, config.site) for hit in hits]

    def oracle(self) -> Oracle:
        """One that decides by the same cut."""
        config, embedder = self._config, self._looks.embedder
        snapshot = build.follower(self._looks, self._judges).refresh(None)
        assert snapshot is not None, "somebody is enrolled"
        cut = build.max_distance(config, embedder)
        return Oracle(
            self._detector, embedder, snapshot, cut, config.decision.margin, config.tracks.min_quality
        )


def score(
    events: Sequence[dict[str, object]],
    stream: StreamTruth,
    known: Labelled,
    row: Row,
    oracle_s: Callable[[Appearance], float | None],
) -> None:
    """Adds what the events of one clip are worth, and when an oracle would have found each person."""
    scores: AlertScores = score_alerts([hit_of(event) for event in events], [stream], set(known.numbers))
    row.counts.update(wrong=scores.wrong, retracted=scores.retracted, missed=scores.missed)
    for judged in scores.appearances:
        stay = judged.appearance
        seen_s = visible_from(stay, known.numbers[stay.person_id], known.moments[stream.stream_id])
        best_s = None if seen_s is None else oracle_s(stay)
        if seen_s is not None and best_s is not None:
            row.oracle_s.append(max(0.0, best_s - seen_s))
        if judged.first_hit_s is None:
            continue
        row.counts["found"] += 1
        if seen_s is not None:
            row.waited_s.append(stay.start_s + judged.first_hit_s - seen_s)


def measure(folder: Path, config: Config, out: Path, given: argparse.Namespace) -> dict[float, Row]:
    """A row a rate."""
    rows = {fps: Row() for fps in given.fps}
    with ExitStack() as opened:
        guests = build.guests(config)
        detector = build.open_detector(config, opened, guests)
        if given.cache is not None:
            cached = CachedDetector(detector.plugin, given.cache / folder.name)
            detector = replace(detector, plugin=cached)
        looks = build.open_looks(config, opened, guests)
        judges = build.open_judges(config, opened, guests)
        known = read(folder, looks, out / "enrol")
        desk = Desk(judges.watchlist, Equipment(config, looks))
        bench = Bench(config, detector, looks, judges)
        enrol_only(desk, known.photos)
        oracle = bench.oracle()
        for name, clip in known.clips.items():
            times = known.taken_at.get(name, [])
            frames = [
                replace(frame, stream_id=name)
                for frame in play(clip)
                if all(abs(frame.pts_s - at_s) > AROUND_PHOTO_S for at_s in times)
            ]
            own_fps = clip_facts(clip).fps
            for fps, row in rows.items():
                phases = given.phases if fps < own_fps / 2 else 1
                for phase in range(phases):
                    shown = frames if fps >= own_fps else list(thinned(frames, fps, phase / phases / fps))
                    stream = known.truth[name]
                    score(bench.watch(shown, row), stream, known, row, partial(oracle.first_s, shown, stream))
    return rows


def _percentile(waits: Sequence[float], at: float) -> float:
    return float(np.percentile(waits, at)) if waits else np.nan


def _fail(stream_id: str, error: Exception) -> None:
    del stream_id
    raise error


def main() -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-c", "--config", type=Path, default=CONFIG)
    parser.add_argument("--cache", type=Path, help="keeps what the detector said")
    parser.add_argument("--fps", type=float, nargs="+", default=RATES)
    parser.add_argument("--phases", type=int, default=3, help="moments at which a slow rate begins")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        config = measuring(load_config(given.config), Path(out))
        calm = config.decision.model_copy(update={"cooldown_s": 0.0})
        rows = measure(given.folder, config.model_copy(update={"decision": calm}), Path(out), given)
    print(HEAD)
    for fps, row in rows.items():
        print(row.text(fps))


if __name__ == "__main__":
    main()
