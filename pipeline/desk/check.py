"""Opens everything that a config names, and says what is wrong before a run would."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.config import Config, StreamConfig
from pipeline.deliver.relay import publish_once
from pipeline.errors import words_of
from pipeline.facts import BusFacts, SourceFacts, closing_of, facts, frames_of
from pipeline.files import make_folder, make_private, need_writable
from pipeline.follow.squared import detect
from pipeline.frame_rate import FrameRate, thinned
from pipeline.messages import Detections, Frame
from pipeline.plugged import (
    Plugged,
    PluggedCodec,
    PluggedDetector,
    PluggedEmbedder,
    PluggedMasker,
    PluggedTracker,
    PluggedVerifier,
)
from pipeline.remote_bus import Table
from pipeline.runner.groups import group_note
from pipeline.secrets import redact
from pipeline.settings import PluginChoice
from pipeline.watchlist.changes import Roll
from pipeline.watchlist.records import Origin
from pipeline.watchlist.shared import read_table
from pipeline.watchlist.sqlite_roster import FILE_NAME
from pipeline.watchlist.standing import faults_of, remarks

FRAMES = 25  # looked at per stream; the one with most people is shown
EVERY = 5
Find = Callable[[Frame], Detections]
GREEN = (80, 220, 80)
LINE_PX = 2

P = TypeVar("P", bound=Plugged)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a run would stumble over: where in the config, what, and what to do."""

    where: str
    problem: str
    fix: str = ""

    @classmethod
    def of(cls, where: str, error: Exception) -> "Problem":
        """From an error; one of ours brings its fix."""
        text = str(getattr(error, "problem", None) or words_of(error))
        return cls(where, redact(text), redact(str(getattr(error, "fix", ""))))


@dataclass(frozen=True, slots=True)
class Sight:
    """What a stream shows: a frame and the people found in it, and what there is to say of how it comes."""

    stream_id: str
    frame: Frame
    detections: Detections
    notes: tuple[str, ...] = ()

    @property
    def heights_px(self) -> list[int]:
        """How tall the people are, tallest first."""
        boxes = self.detections.xyxy
        return sorted((int(h) for h in boxes[:, 3] - boxes[:, 1]), reverse=True)


class Report(NamedTuple):
    """Problems found, what each stream that opened shows, and what the parts say of themselves."""

    problems: list[Problem]
    sights: list[Sight]
    notes: list[str]


def check(config: Config, patience_s: float = 20.0) -> Report:
    """Opens all that a config names.

    Args:
        config: What to open. Where its bus leads out of the process, a config with streams is one for `run`, which
            publishes there and has no sinks, and one without is for `verify`.
        patience_s: Longest wait for the streams, all of them together.
    """
    with ExitStack() as opened:
        trial = _Trial(config, opened)
        bus = trial.part("bus", config.bus)
        remote = bus is not None and not facts(BusFacts, bus, f"bus {config.bus.use!r}").in_process
        member = remote and not config.streams
        detector = None if member else trial.network(PluggedDetector, config.detector)
        embedder = trial.network(PluggedEmbedder, config.embedder)
        codec = trial.network(PluggedCodec, config.codec)
        trial.network(PluggedTracker, config.tracker)
        verifier = trial.network(PluggedVerifier, config.verifier)
        trial.network(PluggedMasker, config.masker)
        trial.part("index", config.matcher.index, "matcher.index")
        if embedder is not None:
            trial.attempt("decision.max_distance", partial(build.max_distance, config, embedder))
        if config.decision.calibration is not None:
            trial.attempt("decision.calibration", partial(_calibrated, config, detector, embedder, verifier))
        trial.attempt("data_dir", partial(need_writable, config.data_dir / "outbox.db"))
        if remote:
            reached = trial.reach("bus", bus)
            if reached and (member or _has_watchlist(config)):
                found = trial.attempt("bus.watchlist", partial(_shared, config, bus.watchlist))
                trial.problems += found or []
        for i in range(len(config.sinks) if member or not remote else 0):
            where = f"sinks.{i}"
            trial.reach(where, trial.attempt(where, partial(build.sink, config, i)), close=True)
        if not config.streams and not member:
            trial.problems.append(Problem("streams", "there are no streams", "list them under 'streams'"))
        find = partial(_find, detector, codec) if detector and codec else _find_nobody
        sights = _look_at_streams(config, find, patience_s, trial.problems)
    wanted_px = build.min_height_px(config, embedder)
    too_small = [problem for sight in sights if (problem := _too_small(sight, wanted_px))]
    notes = build.notes_of(detector, embedder)
    if (groups := group_note(config)) is not None:
        notes.append(groups)
    return Report(trial.problems + too_small, sights, notes)


def _calibrated(
    config: Config,
    detector: PluggedDetector | None,
    embedder: PluggedEmbedder | None,
    verifier: PluggedVerifier | None,
) -> None:
    """Compares the calibration with the parts that started; where one did not, that is told already."""
    build.calibration(config)
    if detector is not None:
        build.need_calibrated(config, detector)
    if embedder is not None and verifier is not None:
        build.cuts(config, embedder, verifier)


class _Trial:
    """Opens one part after another; what goes wrong is noted, and the next is tried."""

    def __init__(self, config: Config, opened: ExitStack) -> None:
        self.problems: list[Problem] = []
        self._config, self._opened = config, opened

    def attempt(self, where: str, work: Callable[[], Any]) -> Any:
        """What comes of some work; None when it fails."""
        try:
            return work()
        except Exception as error:
            self.problems.append(Problem.of(where, error))
            return None

    def part(self, role: str, choice: PluginChoice, where: str | None = None) -> Any:
        """A plugin, closed in the end; None when it does not start."""
        made = self.made(role, choice, where)
        close = closing_of(made)
        if close is not None:
            self._opened.callback(close)
        return made

    def network(self, kind: type[P], choice: PluginChoice) -> P | None:
        """A plugin that is asked through the door, closed in the end; None when it does not start."""
        made: P | None = self.attempt(kind.role, lambda: build.guest(kind, self._config, choice))
        if made is not None:
            self._opened.callback(made.close)
        return made

    def made(self, role: str, choice: PluginChoice, where: str | None = None) -> Any:
        """A plugin that somebody else closes; None when it does not start."""
        return self.attempt(where or role, lambda: build.plugin(self._config, role, choice, where))

    def reach(self, where: str, sink: Any, *, close: bool = False) -> bool:
        """Sees whether a sink gets to the other side; one that hangs is left to itself."""
        if sink is None:
            return False
        before = len(self.problems)
        answer_s = self._config.outbox.answer_s
        self.attempt(where, lambda: publish_once(sink, [], answer_s, close=close))
        return len(self.problems) == before


def _has_watchlist(config: Config) -> bool:
    """A file that is not there yet is not made by looking."""
    return config.store.use != "sqlite" or (config.data_dir / FILE_NAME).exists()


def _shared(config: Config, table: Table) -> list[Problem]:
    """How the watchlist that all processes share is kept, and how the one here stands to it."""
    told = faults_of(table, mend=False)
    roll = Roll(0, Origin(None, None, 0), ())
    if _has_watchlist(config):
        with build.open_watchlist(config) as store:
            roll = store.read()
    told += remarks(roll, *read_table(table))
    return [Problem("bus.watchlist", *remark) for remark in told]


def _look_at_streams(config: Config, find: Find, patience_s: float, problems: list[Problem]) -> list[Sight]:
    """One look at every stream, all at once."""
    found: dict[str, Sight | Problem] = {}

    def look(stream: StreamConfig) -> None:
        try:
            found[stream.id] = _look(config, stream, find)
        except Exception as error:
            found[stream.id] = Problem.of(f"streams.{stream.id}", error)

    threads = [threading.Thread(target=look, args=(stream,), daemon=True) for stream in config.streams]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + patience_s
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    results = [found.get(stream.id) or _nothing_of(stream, patience_s) for stream in config.streams]
    problems += [result for result in results if isinstance(result, Problem)]
    return [result for result in results if isinstance(result, Sight)]


def _nothing_of(stream: StreamConfig, patience_s: float) -> Problem:
    return Problem(f"streams.{stream.id}", f"no frame within {patience_s:.0f} s", "is it sending?")


def _find(detector: PluggedDetector, codec: PluggedCodec, frame: Frame) -> Detections:
    return detect(detector, [frame], codec.resize)[0]


def _find_nobody(frame: Frame) -> Detections:
    return Detections.empty()


def _look(config: Config, stream: StreamConfig, find: Find) -> Sight | Problem:
    source = build.source_factory(config, stream)()
    best: Sight | None = None
    rate = FrameRate()
    with frames_of(source) as frames:
        for number, frame in enumerate(frames):
            fps = rate.with_frame(frame.pts_s)
            if number % EVERY == 0:
                found = find(frame)
                if best is None or len(found) > len(best.detections):
                    best = Sight(stream.id, frame, found)
            if number >= FRAMES:
                break
    if best is None:
        return Problem(f"streams.{stream.id}", "it opened but has no frames", "is the recording empty?")
    told = facts(SourceFacts, source, f"stream {stream.id}: source")
    left_out = thinned(fps) if fps and told.live and stream.max_fps == "auto" else None
    return replace(best, notes=tuple(note for note in (told.note, left_out) if note))


def _too_small(sight: Sight, wanted_px: int) -> Problem | None:
    heights = sight.heights_px
    if not heights or heights[0] >= wanted_px:
        return None
    return Problem(
        f"streams.{sight.stream_id}",
        f"the tallest person seen is {heights[0]} px, evidence starts at {wanted_px} px",
        "bring the camera nearer, or use a higher resolution",
    )


def save_snapshots(
    sights: list[Sight], folder: Path, encode: Callable[[NDArray[np.uint8]], bytes]
) -> list[Path]:
    """A still of each stream with the boxes found, as <stream>.jpg, for this user alone."""
    make_folder(folder)
    paths = []
    for sight in sights:
        path = folder / f"{sight.stream_id}.jpg"
        make_private(path)
        path.write_bytes(encode(_with_boxes(sight)))
        paths.append(path)
    return paths


def _with_boxes(sight: Sight) -> NDArray[np.uint8]:
    image = sight.frame.image.copy()
    height, width = image.shape[:2]
    for x0, y0, x1, y1 in sight.detections.xyxy.round().astype(int).clip(0, max(height, width)):
        image[y0:y1, x0 : x0 + LINE_PX] = image[y0:y1, max(x1 - LINE_PX, 0) : x1] = GREEN
        image[y0 : y0 + LINE_PX, x0:x1] = image[max(y1 - LINE_PX, 0) : y1, x0:x1] = GREEN
    return image
