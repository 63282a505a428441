"""The report of `evaluate clips`: everybody enrolled together, each looked for in the second half of their span."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import build
from pipeline.config import Config
from pipeline.plugged import PluggedCodec
from trainers.evaluate.labelled import LabelledClips
from trainers.evaluate.report.content import Person, ReportContent
from trainers.evaluate.report.gather import crop_around, hit_details, missed_details, stills
from trainers.evaluate.report.html import count
from trainers.evaluate.report.page import write_report
from trainers.metrics.alerts import AlertScores, StreamTruth

SUBTITLE = (
    "All enrolled together, each from the box at a quarter of their span, and looked for in every clip: in their "
    "own without the first half of the span."
)


def write_clips_report(
    out: Path,
    config: Config,
    labelled: LabelledClips,
    scores: Sequence[AlertScores],
    events: Iterable[Mapping[str, Any]],
    seconds: float,
) -> None:
    """Writes `report.html` into the folder of results.

    Args:
        out: The folder, with the frames that people were enrolled from in `enrol/`.
        config: As it was used.
        labelled: The clips.
        scores: Of each person, enrolled together with all.
        events: Of their hits.
        seconds: How long it took.
    """
    together = merge(scores)
    truth = [_as_looked_for(stream, together) for stream in labelled.truth.values()]
    content = ReportContent(
        title=f"{count(len(labelled.people), 'person', 'people')} looked for, {count(len(truth), 'clip')}",
        subtitle=SUBTITLE,
        seconds=seconds,
        scores=together,
        truth=tuple(truth),
        people=_enrolled(out / "enrol", config, labelled),
        hits=hit_details(together, events, truth, config.data_dir / "evidence"),
        missed=missed_details(together, truth, labelled.clips, {}),
        stills=stills(truth, labelled.clips, [person.id for person in labelled.people]),
        facts=(
            ("detector", str(config.detector.settings.get("engine", config.detector.use))),
            ("tracker", config.tracker.use),
            ("embedder", str(config.embedder.settings.get("engine", config.embedder.use))),
            ("verifier", config.verifier.use),
            ("margin", f"{config.decision.margin:.2f} to the next identity"),
        ),
    )
    write_report(out / "report.html", content)


def merge(scores: Sequence[AlertScores]) -> AlertScores:
    """Scores of single identities as one."""
    return AlertScores(
        tuple(judged for each in scores for judged in each.hits),
        tuple(judged for each in scores for judged in each.appearances),
        sum(each.stream_seconds for each in scores),
    )


def _as_looked_for(stream: StreamTruth, scores: AlertScores) -> StreamTruth:
    stays = (item.appearance for item in scores.appearances)
    return replace(stream, appearances=tuple(stay for stay in stays if stay.stream_id == stream.stream_id))


def _enrolled(folder: Path, config: Config, labelled: LabelledClips) -> tuple[Person, ...]:
    codec = build.guest(PluggedCodec, config, config.codec)
    people = []
    for person in labelled.people:
        image = codec.decode((folder / f"{person.id}.jpg").read_bytes())
        picture = crop_around(codec, image, np.array(person.photo_box, np.float32))
        people.append(Person(person.id, person.id, picture))
    return tuple(people)
