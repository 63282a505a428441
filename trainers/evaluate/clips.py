"""`musewatch evaluate clips`: the main job measured on labelled footage of one's own.

Each person is enrolled from the box at a quarter of their span and looked for in every clip, their own without the
first half of the span: once with nobody else enrolled, once with all. A row counts the hits of one identity, so a
hit on somebody else, in whatever clip, is a wrong one of the identity that was taken for them.
"""

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import build
from pipeline.build import Judges, Looks
from pipeline.cli.common import ConfigOption, config_of
from pipeline.config import Config, TelemetryConfig
from pipeline.deliver.events import to_event
from pipeline.desk.desk import Desk
from pipeline.desk.equipment import Equipment
from pipeline.errors import InputError
from pipeline.files import make_private
from pipeline.follow.squared import widened
from pipeline.messages import Hit
from pipeline.output import JsonOption, console, print_json, say
from pipeline.plugged import PluggedDetector
from pipeline.protocols import Codec
from pipeline.settings import choose
from trainers.evaluate.alerts import COUNTS, print_rows
from trainers.evaluate.clips_report import write_clips_report
from trainers.evaluate.enrolling import Photo, enrol_photo
from trainers.evaluate.frames import ALL, Thinning, frames_at
from trainers.evaluate.hits_file import hit_of
from trainers.evaluate.labelled import LabelledClips, Person, read_labelled_clips, truth_for
from trainers.evaluate.passes import Pass, Span, record, remembered_detections, remembered_vectors
from trainers.metrics.alerts import AlertScores, score_alerts

ALONE, TOGETHER = "alone", "together"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of looking for one person, alone on the watchlist or together with all."""

    person: Person
    enrolled: str
    scores: AlertScores
    events: tuple[dict[str, Any], ...]

    def row(self) -> dict[str, Any]:
        """One entry of `identities` in `summary.json`; the distances of its hits tell where a cut would lie."""
        counts = {name: getattr(self.scores, name) for name in COUNTS}
        distances = {event["data"]["hit_id"]: event["data"]["decision"]["distance"] for event in self.events}
        by_verdict = {
            name: sorted(round(distances[j.hit.hit_id], 3) for j in self.scores.hits if j.judgement == name)
            for name in ("right", "wrong")
        }
        return {
            "id": self.person.number,
            "clip": self.person.stay.stream_id,
            "enrolled": self.enrolled,
            **counts,
            "distances": by_verdict,
        }


def clips(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="*.mp4, each with its *.gt_ids.txt.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")],
    config: ConfigOption = None,
    fps: Annotated[
        float | None, typer.Option(min=0.01, max=1000, help="So many frames a second are shown; else all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measures the main job on labelled clips, with the engines of a config."""
    start_s = time.monotonic()
    labelled = read_labelled_clips(folder)
    measured = measuring(config_of(config), out)
    out.mkdir(parents=True, exist_ok=True)
    outcomes = measure(measured, labelled, out, Thinning(fps))
    seconds = time.monotonic() - start_s
    together = [outcome for outcome in outcomes if outcome.enrolled == TOGETHER]
    events = [event for outcome in together for event in outcome.events]
    write_clips_report(out, measured, labelled, [outcome.scores for outcome in together], events, seconds)
    summary = summarise(outcomes, seconds)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print_json(summary)
        return
    print_rows(summary["identities"], ("id", "clip", "enrolled", *COUNTS))
    for enrolled in (ALONE, TOGETHER):
        console().print(f"{enrolled}: " + ", ".join(f"{name} {summary[enrolled][name]}" for name in COUNTS))


def measuring(config: Config, out: Path) -> Config:
    """The config with its own data folder under `out`, and nothing delivered anywhere."""
    changes = {
        "streams": (),
        "sinks": (),
        "data_dir": (out / "data").resolve(),
        "bus": choose("memory"),
        "telemetry": TelemetryConfig(listen=None),
    }
    return config.model_copy(update=changes)


def measure(config: Config, labelled: LabelledClips, out: Path, shown: Thinning = ALL) -> list[Outcome]:
    """Looks for everybody, alone and together.

    Raises:
        ConfigError: A part of the config cannot start.
        InputError: A clip is damaged.
    """
    with ExitStack() as opened:
        guests = build.guests(config)
        detector = remembered_detections(build.open_detector(config, opened, guests))
        plain = build.open_looks(config, opened, guests)
        looks = replace(plain, embedder=remembered_vectors(plain.embedder))
        judges = build.open_judges(config, opened, guests)
        footage = Footage(config, detector, looks, labelled.clips, shown)
        desk = Desk(judges.watchlist, Equipment(config, looks))
        photos = save_photos(looks.codec, labelled, out / "enrol")
        outcomes = []
        for person in labelled.people:
            asked = footage.for_one(person)
            for enrolled, wanted in ((ALONE, [photos[person.id]]), (TOGETHER, photos.values())):
                enrol_only(desk, wanted)
                hits = identify(config, looks, judges, asked)
                outcomes.append(judge(config, labelled, person, enrolled, hits))
    return outcomes


class Footage:
    """What is asked about the clips, each recorded when it is first needed."""

    def __init__(
        self,
        config: Config,
        detector: PluggedDetector,
        looks: Looks,
        clips: dict[str, Path],
        shown: Thinning,
    ) -> None:
        self._config, self._detector, self._looks, self._clips = config, detector, looks, clips
        self._shown = shown
        self._whole: dict[str, Pass] = {}

    def for_one(self, person: Person) -> Pass:
        """What a run that looks for one person asks: every clip, their own without the first half of their span."""
        home = person.stay.stream_id
        say(f"{home}: person {person.number}")
        skip = [(person.stay.start_s, person.middle_s)] if person.middle_s > person.stay.start_s else []
        own = self._record(home, skip)
        others = (self._of(name) for name in self._clips if name != home)
        return [*own, *(tracklets for asked in others for tracklets in asked)]

    def _of(self, name: str) -> Pass:
        if name not in self._whole:
            say(f"{name}: whole")
            self._whole[name] = self._record(name)
        return self._whole[name]

    def _record(self, name: str, skip: Sequence[Span] = ()) -> Pass:
        return record(self._config, self._detector, self._looks, self._clips[name], skip, self._shown)


def save_photos(codec: Codec, labelled: LabelledClips, folder: Path) -> dict[str, Photo]:
    """The frame that each person is enrolled from, as a file; by person id."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = {}
    for name, clip in labelled.clips.items():
        own = [person for person in labelled.people if person.stay.stream_id == name]
        frames = frames_at(clip, [person.photo_s for person in own])
        for person in own:
            path = folder / f"{person.id}.jpg"
            frame = frames[person.photo_s]
            make_private(path)
            path.write_bytes(codec.encode(widened(frame.image, frame.pixel_aspect, codec.resize), 95))
            x0, y0, x1, y1 = person.photo_box
            box = x0 * frame.pixel_aspect, y0, x1 * frame.pixel_aspect, y1
            photos[person.id] = Photo(person.id, person.id, path, box)
    return photos


def enrol_only(desk: Desk, wanted: Iterable[Photo]) -> None:
    """Makes the watchlist one of just these people; who cannot be enrolled is not found."""
    for known in desk.roll().identities:
        desk.remove(known.id)
    for photo in wanted:
        try:
            enrol_photo(desk, photo)
        except InputError as error:
            say(f"musewatch: {error}")


def identify(config: Config, looks: Looks, judges: Judges, asked: Pass) -> list[Hit]:
    """The hits of a run that asks so, against the watchlist as it is."""
    watchlist = build.follower(looks, judges).refresh(datetime.now(UTC))
    stage = build.identify_stage(config, looks, judges, time.time)
    if watchlist is not None:
        stage.use(watchlist)
    return [hit for tracklets in asked for hit in stage.on_batch(tracklets)]


def judge(
    config: Config, labelled: LabelledClips, person: Person, enrolled: str, hits: Iterable[Hit]
) -> Outcome:
    """Scores the hits of one identity."""
    events = tuple(to_event(hit, config.site) for hit in hits if hit.identity.id == person.id)
    truth = truth_for(person, list(labelled.truth.values()))
    return Outcome(
        person, enrolled, score_alerts([hit_of(event) for event in events], truth, {person.id}), events
    )


def summarise(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The document `summary.json`: all hits of all runs, the same alone and together, and a row for each run."""
    rows = [outcome.row() for outcome in outcomes]
    parts = {
        enrolled: {name: sum(row[name] for row in rows if row["enrolled"] == enrolled) for name in COUNTS}
        for enrolled in (ALONE, TOGETHER)
    }
    totals = {name: sum(row[name] for row in rows) for name in COUNTS}
    hits = totals["right"] + totals["wrong"]
    return {"seconds": round(seconds, 1), "hits": hits, **totals, **parts, "identities": rows}
