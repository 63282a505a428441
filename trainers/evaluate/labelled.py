"""A folder of labelled clips, every person in them known by an id of their own.

Labels of different clips are different people. A person is called by the number in the file; where two clips use
one number, by clip and number.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.follow.geometry import Box
from trainers.evaluate.truth import LABEL_ENDINGS, clip_facts, people_in, read_labels, timed
from trainers.metrics.alerts import Appearance, PersonLabels, StreamTruth

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 63


@dataclass(frozen=True, slots=True)
class Person:
    """One labelled person.

    Attributes:
        id: Different from everybody else's.
        number: As in the labels.
        stay: Their span in their clip.
        photo_s: When they are enrolled from: the label nearest to a quarter of the span.
        photo_box: Where they are then, xyxy in source pixels.
    """

    id: str
    number: str
    stay: Appearance
    photo_s: float
    photo_box: Box

    @property
    def middle_s(self) -> float:
        """Half of the span; what comes before is not shown to a run that looks for them."""
        return (self.stay.start_s + self.stay.end_s) / 2


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """The clips by name, who is in them, and what really happened, by clip name."""

    clips: dict[str, Path]
    truth: dict[str, StreamTruth]
    people: tuple[Person, ...]


def read_labelled_clips(folder: Path) -> LabelledClips:
    """Every `*.mp4` of a folder with its labels; a clip without labels has nobody in it.

    Raises:
        InputError: No clip, nobody labelled, or a damaged file.
    """
    clips = {path.stem: path for path in sorted(folder.glob("*.mp4"))}
    if not clips:
        raise InputError(f"there is no *.mp4 in {folder}", "give the folder of your clips")
    numbered = {name: _numbered(folder, name, path) for name, path in clips.items()}
    uses = Counter(number for stream in numbered.values() for number in stream.labels)
    truth: dict[str, StreamTruth] = {}
    people: list[Person] = []
    for name, stream in numbered.items():
        labels = stream.labels
        ids = {number: number if uses[number] == 1 else _qualified(name, number) for number in labels}
        own = [
            _person(ids[number], number, name, labels[number]) for number in sorted(labels, key=_by_number)
        ]
        people += own
        stays = tuple(person.stay for person in own)
        named = {ids[number]: labels[number] for number in labels}
        truth[name] = replace(stream, appearances=stays, labels=named)
    if not people:
        raise InputError(f"nobody is labelled in {folder}", "put NAME.gt_ids.txt beside NAME.mp4 (MOT text)")
    return LabelledClips(clips, truth, tuple(people))


def truth_for(person: Person, truth: Sequence[StreamTruth]) -> list[StreamTruth]:
    """What a run that looks for one person is shown: their clip without the first half of their span."""
    return [_without_first_half(person, s) if s.stream_id == person.stay.stream_id else s for s in truth]


def _without_first_half(person: Person, stream: StreamTruth) -> StreamTruth:
    stay = replace(person.stay, start_s=person.middle_s)
    others = tuple(other for other in stream.appearances if other.person_id != person.id)
    own = stream.labels[person.id]
    shown = own.times_s >= person.middle_s
    labels = {**stream.labels, person.id: PersonLabels(own.times_s[shown], own.boxes[shown])}
    left_out_s = person.middle_s - person.stay.start_s
    return replace(stream, seconds=stream.seconds - left_out_s, appearances=(stay, *others), labels=labels)


def _numbered(folder: Path, name: str, clip: Path) -> StreamTruth:
    """One clip, its people by their numbers, their stays not worked out yet."""
    facts = clip_facts(clip)
    files = [folder / f"{name}{ending}" for ending in LABEL_ENDINGS]
    read = [read_labels(path) for path in files if path.is_file()]
    people = people_in((label for labels in read for label in labels.people), facts.time_of)
    ignored = timed((label for labels in read for label in labels.ignored), facts.time_of)
    return StreamTruth(name, facts.seconds, (), people, ignored)


def _person(id_: str, number: str, clip: str, labels: PersonLabels) -> Person:
    start_s, end_s = float(labels.times_s[0]), float(labels.times_s[-1])
    row = int(np.abs(labels.times_s - (start_s + (end_s - start_s) / 4)).argmin())
    left, top, right, bottom = (float(edge) for edge in labels.boxes[row])
    stay = Appearance(clip, id_, start_s, end_s)
    return Person(id_, number, stay, float(labels.times_s[row]), (left, top, right, bottom))


def _qualified(clip: str, number: str) -> str:
    return _NOT_IN_AN_ID.sub("-", f"{clip}-{number}")[-_LONGEST_ID:].lstrip("._-")


def _by_number(text: str) -> int:
    return int(text)
