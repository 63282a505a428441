"""Reads what really happened: track labels (MOT text), `presence.csv`, and the clips they belong to.

A folder of truth holds `<stream>.mp4` and `<stream>.gt.txt` or `<stream>.gt_ids.txt` for each stream, and one
`presence.csv` for all. Labels are MOT text, `frame(1-based),id,x,y,w,h,conf,class,visibility`; conf 0 means
ignore. With `presence.csv` the appearances are its rows, and number 3 of the labels is the person `3` or `p3`
that it names. Without it each number is a person of that name, and its span in the clip is its appearance.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pipeline.errors import InputError
from trainers.metrics.alerts import Appearance, PersonLabels, StreamTruth

MIN_VISIBLE_S = 1.0
MIN_HEIGHT_PX = 60.0
PRESENCE = "presence.csv"
PERSON, UNCLASSED = 1, (-1, 0)  # classes of MOT text
LABEL_ENDINGS = (".gt.txt", ".gt_ids.txt")
_PRESENCE_COLUMNS = ("stream_id", "person_id", "start_s", "end_s", "visible_s", "max_height_px")


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled box: frame from 1, xyxy in source pixels."""

    frame: int
    number: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Presence:
    """A row of `presence.csv`."""

    stay: Appearance
    visible_s: float
    max_height_px: float

    @property
    def counts(self) -> bool:
        """Seen for long enough, and from near enough, that it should have been found."""
        return self.visible_s >= MIN_VISIBLE_S and self.max_height_px >= MIN_HEIGHT_PX


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a video file says of itself."""

    fps: float
    seconds: float


def read_truth(folder: Path, fps: float | None = None) -> tuple[StreamTruth, ...]:
    """All streams of a folder, by name; a clip without labels has nobody in it.

    Args:
        folder: Where the truth lies.
        fps: Frames per second of labels whose clip is not in the folder.

    Raises:
        InputError: No truth there, a damaged file, or labels without a clip and without `fps`.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "give the folder that holds the truth")
    presence = read_presence(folder / PRESENCE) if (folder / PRESENCE).exists() else None
    label_files = {stem(path): path for ending in LABEL_ENDINGS for path in folder.glob(f"*{ending}")}
    clips = {path.stem: path for path in folder.glob("*.mp4")}
    names = sorted({*label_files, *clips, *(row.stay.stream_id for row in presence or ())})
    if not label_files and presence is None:
        raise InputError(f"{folder} holds neither labels (*.gt.txt, *.gt_ids.txt) nor {PRESENCE}")
    return tuple(_stream(name, label_files.get(name), clips.get(name), presence, fps) for name in names)


def read_labels(path: Path) -> list[Label]:
    """Labelled boxes of people in the order of the file, those to be ignored left out.

    Class 1 (column 8) is a person. Where no row says its class (-1, 0 or no such column), all are people.

    Raises:
        InputError: Unreadable, a line that is not MOT text, or classes of which none is a person.
    """
    labels: list[tuple[int, Label]] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            frame, person, x, y, wide, high, conf, *more = (float(value) for value in line.split(",")[:8])
            sound = all(map(math.isfinite, (frame, person, x, y, wide, high, conf, *more)))
        except ValueError:
            sound = False
        if not sound or frame < 1 or wide <= 0 or high <= 0:
            raise InputError(
                f"{path}, line {number}: not a label: {line.strip()[:60]!r}",
                "write frame(1-based),id,x,y,w,h,conf,class,visibility",
            )
        if conf != 0:
            kind = int(more[0]) if more else UNCLASSED[0]
            labels.append((kind, Label(int(frame), int(person), (x, y, x + wide, y + high))))
    return _people_among(labels, path)


def _people_among(labels: Sequence[tuple[int, Label]], path: Path) -> list[Label]:
    """Those of class 1, or all of them where no class is given."""
    kinds = {kind for kind, _ in labels}
    if kinds <= {*UNCLASSED}:
        return [label for _, label in labels]
    if PERSON not in kinds:
        raise InputError(
            f"{path}: rows of class {', '.join(map(str, sorted(kinds)))}, none of class {PERSON}",
            "column 8 of MOT text is 1 for people, and -1 in every row where there are no classes",
        )
    return [label for kind, label in labels if kind == PERSON]


def read_presence(path: Path) -> list[Presence]:
    """All rows of `presence.csv`.

    Raises:
        InputError: Unreadable, a column is missing, or a value is not a number.
    """
    rows = csv.DictReader(_lines(path))
    missing = [name for name in _PRESENCE_COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}", f"its first line is {','.join(_PRESENCE_COLUMNS)}"
        )
    presence = []
    for row in rows:
        try:
            start_s, end_s, visible_s, height_px = (float(row[name]) for name in _PRESENCE_COLUMNS[2:])
        except (TypeError, ValueError):
            raise InputError(f"{path}, line {rows.line_num}: a number is missing or wrong") from None
        stay = Appearance(row["stream_id"], row["person_id"], start_s, end_s)
        presence.append(Presence(stay, visible_s, height_px))
    return presence


def read_enrolled(folder: Path, truth: Sequence[StreamTruth]) -> frozenset[str]:
    """Who may be missed: those with a picture in `enrol/`; everybody where there is no such folder."""
    pictures = folder / "enrol"
    if pictures.is_dir():
        return frozenset(path.stem for path in pictures.glob("*.jpg"))
    return frozenset(appearance.person_id for stream in truth for appearance in stream.appearances)


def clip_facts(path: Path) -> ClipFacts:
    """Rate and length of a video file.

    Raises:
        InputError: Not a video, or one that does not say its rate.
    """
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            rate = float(video.average_rate or 0)
            seconds = (
                video.frames / rate
                if video.frames and rate
                else float(container.duration or 0) / av.time_base
            )
    except (av.FFmpegError, OSError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video: {error}") from None
    if rate <= 0 or seconds <= 0:
        raise InputError(
            f"{path} does not say its frame rate or its length", "write it again, for example as MP4"
        )
    return ClipFacts(rate, seconds)


def people_in(
    labels: Iterable[Label], fps: float, names: Mapping[int, str] | None = None
) -> dict[str, PersonLabels]:
    """Labels by person, in order of time.

    Args:
        labels: Of one clip.
        fps: Its frames per second; frame 1 is at 0 s.
        names: Person id of a number; the number itself where it has none.
    """
    by_person = defaultdict(list)
    for label in sorted(labels, key=lambda label: label.frame):
        by_person[(names or {}).get(label.number, str(label.number))].append(label)
    return {
        person: PersonLabels(
            np.array([(label.frame - 1) / fps for label in own], np.float64),
            np.array([label.box for label in own], np.float32),
        )
        for person, own in by_person.items()
    }


def stem(label_file: Path) -> str:
    """Name of the stream that a label file belongs to."""
    name = label_file.name
    return next(name.removesuffix(ending) for ending in LABEL_ENDINGS if name.endswith(ending))


def _stream(
    name: str,
    label_file: Path | None,
    clip: Path | None,
    presence: list[Presence] | None,
    fps: float | None,
) -> StreamTruth:
    labels = read_labels(label_file) if label_file else []
    facts = clip_facts(clip) if clip else None
    rate = facts.fps if facts else fps
    if rate is None and labels:
        raise InputError(f"{label_file}: the clip {name}.mp4 is not beside it", "put it there, or give --fps")
    people = people_in(labels, rate or 1.0, _names(presence or ()))
    if presence is None:
        stays = [
            Appearance(name, who, float(own.times_s[0]), float(own.times_s[-1]))
            for who, own in people.items()
        ]
    else:
        stays = [row.stay for row in presence if row.counts and row.stay.stream_id == name]
    seconds = facts.seconds if facts else max([stay.end_s for stay in stays], default=0.0)
    return StreamTruth(name, seconds, tuple(stays), people)


def _names(presence: Iterable[Presence]) -> dict[int, str]:
    numbers = {row.stay.person_id: row.stay.person_id.removeprefix("p") for row in presence}
    return {int(number): person for person, number in numbers.items() if number.isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
