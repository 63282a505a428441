"""The demo's report: looks again at who was missed, and says what the networks can and cannot."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import build
from pipeline.build import Looks
from pipeline.config import Config
from pipeline.runner.runner import RunSummary
from pipeline.settings import PluginChoice
from trainers.evaluate.enrolling import Photo
from trainers.evaluate.report.content import Person, ReportContent
from trainers.evaluate.report.gather import hit_details, missed_details, stills
from trainers.evaluate.report.html import count
from trainers.evaluate.report.page import write_report
from trainers.evaluate.sights import Sight, look, why_missed
from trainers.metrics.alerts import AlertScores, StreamTruth


@dataclass(frozen=True, slots=True)
class Run:
    """What the demo did.

    Attributes:
        config: As it ran.
        config_file: Where the config came from.
        clips: Clip by stream id.
        truth: What really happened.
        photos: Who was enrolled.
        events: What came out.
        scores: The same, judged.
        summary: What became of the frames.
    """

    config: Config
    config_file: Path
    clips: Mapping[str, Path]
    truth: tuple[StreamTruth, ...]
    photos: tuple[Photo, ...]
    events: tuple[dict[str, Any], ...]
    scores: AlertScores
    summary: RunSummary


def write_demo_report(path: Path, run: Run, seconds: Callable[[], float]) -> tuple[str, ...]:
    """Writes the report; returns what its reader must know first.

    Args:
        path: The HTML file.
        run: What the demo did.
        seconds: Tells how long it has taken.
    """
    with ExitStack() as opened:
        guests = build.guests(run.config)
        detector = build.open_detector(run.config, opened, guests)
        looks = build.open_looks(run.config, opened, guests)
        sights = [
            sight
            for stream in run.truth
            for sight in look(run.clips[stream.stream_id], stream, detector, looks.embedder)
        ]
        enrolled = _vectors(run.photos, looks)
    cut = looks.max_distance
    missed = [item.appearance for item in run.scores.appearances if item.missed]
    reasons = {stay: why_missed(stay, sights, enrolled, cut) for stay in missed}
    ids = [photo.id for photo in run.photos]
    know = notice(run, sights)
    content = ReportContent(
        title=f"{count(len(run.photos), 'person', 'people')} looked for, {count(len(run.truth), 'camera')}",
        subtitle=_subtitle(run),
        seconds=seconds(),
        scores=run.scores,
        truth=run.truth,
        people=tuple(Person(photo.id, photo.name, photo.image.read_bytes()) for photo in run.photos),
        hits=hit_details(run.scores, run.events, run.truth, run.config.data_dir / "evidence"),
        missed=missed_details(run.scores, run.truth, run.clips, reasons),
        stills=stills(run.truth, run.clips, ids),
        notice=know,
        facts=_facts(run, cut),
        config=run.config_file.read_text(encoding="utf-8"),
    )
    write_report(path, content)
    return know


def notice(run: Run, sights: Sequence[Sight]) -> tuple[str, ...]:
    """What the networks are, and what that costs in figures of this run."""
    near = [sight for sight in sights if sight.height_px >= 160]
    far = [sight for sight in sights if sight.height_px < 160]
    return (
        "The bundled networks are for trying out",
        f"Detector {_name(run.config.detector)} and embedder {_name(run.config.embedder)} are small, need no torch "
        "and no GPU, and learned from simulated people: others, under other cameras, than these.",
        f"Here, looking once a second at everybody in view, the detector saw {_seen(near)} when "
        f"they were 160 px tall or more and {_seen(far)} when smaller, half hidden ones included; of "
        f"{count(len(run.scores.appearances), 'appearance')} of enrolled people {run.scores.missed} went without "
        "a right hit. On real cameras expect far less.",
        "For real people: `musewatch engines fetch real` brings a public detector and embedder that learned from "
        "them, each by its digest, and prints the two lines of the config by which they take these ones' places.",
    )


def _name(choice: PluginChoice) -> str:
    """What the network is called: its engine where it has one."""
    return Path(str(choice.settings.get("engine", choice.use))).stem


def _seen(sights: Sequence[Sight]) -> str:
    if not sights:
        return "nobody (none were)"
    seen = sum(sight.embedding is not None for sight in sights)
    return f"{seen} of {len(sights)} ({100 * seen / len(sights):.0f} %)"


def _vectors(photos: Sequence[Photo], looks: Looks) -> dict[str, NDArray[np.float32]]:
    crops = [looks.codec.decode(photo.image.read_bytes()) for photo in photos]
    return {photo.id: row for photo, row in zip(photos, looks.embedder.embed(crops), strict=True)}


def _subtitle(run: Run) -> str:
    first = run.truth[0].seconds
    today = datetime.now(UTC)
    return (
        f"One simulated hall, {count(len(run.truth), 'stream')} of {first:.0f} s pushed over RTSP on loopback and "
        f"watched live on the CPU; {today.day} {today:%B %Y}."
    )


def _frames(run: Run) -> str:
    arrived = sum(stream.frames_in for stream in run.summary.streams)
    looked_at = sum(stream.frames_inferred for stream in run.summary.streams)
    rate = looked_at / sum(stream.seconds for stream in run.truth)
    return (
        f"{looked_at} of {arrived} looked at, {rate:.1f} a second and stream; a live stream waits for nobody"
    )


def _facts(run: Run, cut: float) -> tuple[tuple[str, str], ...]:
    config, decision = run.config, run.config.decision
    return (
        ("detector", config.detector.use),
        ("tracker", config.tracker.use),
        ("embedder", config.embedder.use),
        ("verifier", config.verifier.use),
        ("cut", f"{cut:.2f}" + (" (the embedder's own)" if decision.max_distance == "auto" else "")),
        ("margin", f"{decision.margin:.2f} to the next identity"),
        ("cool-down", f"{decision.cooldown_s:.0f} s per identity and stream"),
        ("streams", "the clips of the config, pushed over RTSP on loopback at their own rate"),
        ("frames", _frames(run)),
        ("events", "CloudEvents, through the outbox into hits.jsonl"),
    )
