"""Reads what really happened: track labels (MOT text), `presence.csv`, and the clips they belong to.

A folder of truth holds `<stream>.mp4` and `<stream>.gt.txt` or `<stream>.gt_ids.txt` for each stream, and one
`presence.csv` for all. Labels are MOT text, `frame(1-based),id,x,y,w,h,conf,class,visibility`; conf 0 means
ignore. With `presence.csv` the appearances are its rows, and number 3 of the labels is the person `3` or `p3`
that it names. Without it each number is a person of that name, and its span in the clip is its appearance.
A label of frame n is of the time of the clip's n-th picture, whatever its rate.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.bounds import MAX_COUNT, MAX_EDGE_PX, MAX_STREAM_S
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
class Labels:
    """A file of labels: the boxes of people, and those that are marked to be ignored, each in the file's order.

    Its items are those of people.
    """

    people: tuple[Label, ...] = ()
    ignored: tuple[Label, ...] = ()

    def __iter__(self) -> Iterator[Label]:
        return iter(self.people)

    def __len__(self) -> int:
        return len(self.people)


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
    """What a video file says of itself.

    Attributes:
        fps: Its nominal rate.
        seconds: Its length.
        times_s: (N,) of its pictures, from 0, ascending; empty where it does not say.
    """

    fps: float
    seconds: float
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def time_of(self, frame: int) -> float:
        """When the picture of that number, from 1, is shown; by the rate where the clip does not say."""
        count = len(self.times_s)
        if not count:
            return (frame - 1) / self.fps
        if frame > count:
            return float(self.times_s[-1]) + (frame - count) / self.fps
        return float(self.times_s[frame - 1])


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


def read_labels(path: Path) -> Labels:
    """The boxes of a file of MOT text; conf 0 (column 7) marks those to be ignored.

    Class 1 (column 8) is a person. Where no row says its class (-1, 0 or no such column), all are people.

    Raises:
        InputError: Unreadable, a line that is not MOT text, or classes of which none is a person.
    """
    labels: list[tuple[int, Label]] = []
    ignored: list[Label] = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            frame, person, x, y, wide, high, conf, *more = (float(value) for value in line.split(",")[:8])
        except ValueError:
            frame = person = x = y = wide = high = conf = math.nan
            more = []
        numbers, edges = (frame, person, *more), (x, y, x + wide, y + high)
        if not (
            all(value.is_integer() and abs(value) <= MAX_COUNT for value in numbers)
            and all(abs(edge) <= MAX_EDGE_PX for edge in edges)
            and (frame >= 1 and wide > 0 and high > 0 and math.isfinite(conf))
        ):
            raise InputError(
                f"{path}, line {number}: not a label: {line.strip()[:60]!r}",
                "write frame(1-based),id,x,y,w,h,conf,class,visibility",
            )
        label = Label(int(frame), int(person), edges)
        if conf == 0:
            ignored.append(label)
        else:
            labels.append((int(more[0]) if more else UNCLASSED[0], label))
    return Labels(_people_among(labels, path), tuple(ignored))


def _people_among(labels: Sequence[tuple[int, Label]], path: Path) -> tuple[Label, ...]:
    """Those of class 1, or all of them where no class is given."""
    kinds = {kind for kind, _ in labels}
    if kinds <= {*UNCLASSED}:
        return tuple(label for _, label in labels)
    if PERSON not in kinds:
        raise InputError(
            f"{path}: rows of class {', '.join(map(str, sorted(kinds)))}, none of class {PERSON}",
            "column 8 of MOT text is 1 for people, and -1 in every row where there are no classes",
        )
    return tuple(label for kind, label in labels if kind == PERSON)


def read_presence(path: Path) -> list[Presence]:
    """All rows of `presence.csv`.

    Raises:
        InputError: Unreadable, a column is missing, or a value is no number or out of bounds.
    """
    try:
        return _presence_rows(csv.DictReader(_lines(path)), path)
    except csv.Error as error:
        raise InputError(f"{path}: not CSV: {error}") from None


def _presence_rows(rows: "csv.DictReader[str]", path: Path) -> list[Presence]:
    missing = [name for name in _PRESENCE_COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(missing)}", f"its first line is {','.join(_PRESENCE_COLUMNS)}"
        )
    presence = []
    for row in rows:
        start_s, end_s, visible_s, height_px = (
            _number(row[name], f"{path}, line {rows.line_num}: {name}") for name in _PRESENCE_COLUMNS[2:]
        )
        if end_s < start_s or min(visible_s, height_px) < 0:
            raise InputError(f"{path}, line {rows.line_num}: it ends before it starts, or has a size below 0")
        stay = Appearance(row["stream_id"], row["person_id"], start_s, end_s)
        presence.append(Presence(stay, visible_s, height_px))
    return presence


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_STREAM_S:  # NaN fails too
        raise InputError(f"{where}: a number is missing or wrong")
    return value


def read_enrolled(folder: Path, truth: Sequence[StreamTruth]) -> frozenset[str]:
    """Who may be missed: those with a picture in `enrol/`; everybody where there is no such folder."""
    pictures = folder / "enrol"
    if pictures.is_dir():
        return frozenset(path.stem for path in pictures.glob("*.jpg"))
    return frozenset(appearance.person_id for stream in truth for appearance in stream.appearances)


def clip_facts(path: Path) -> ClipFacts:
    """Rate, length and times of the pictures of a video file, without decoding any.

    Raises:
        InputError: Not a video, or one that does not say its rate.
    """
    try:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            rate = float(video.average_rate or 0)
            told = float(container.duration or 0) / av.time_base
            shown = [packet for packet in container.demux(video) if packet.size and not packet.is_discard]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video: {error}") from None
    stamps = [float(p.pts * p.time_base) for p in shown if p.pts is not None and p.time_base is not None]
    times_s = np.sort(np.array(stamps if len(stamps) == len(shown) else [], np.float64))
    times_s = times_s - times_s[:1]
    seconds = float(times_s[-1]) + 1 / rate if len(times_s) and rate else told
    if rate <= 0 or seconds <= 0:
        raise InputError(
            f"{path} does not say its frame rate or its length", "write it again, for example as MP4"
        )
    return ClipFacts(rate, seconds, times_s)


def people_in(
    labels: Iterable[Label], time_of: Callable[[int], float], names: Mapping[int, str] | None = None
) -> dict[str, PersonLabels]:
    """Labels by person, in order of time.

    Args:
        labels: Of one clip.
        time_of: When the picture of a number, from 1, is shown.
        names: Person id of a number; the number itself where it has none.
    """
    by_person = defaultdict(list)
    for label in labels:
        by_person[(names or {}).get(label.number, str(label.number))].append(label)
    return {person: timed(own, time_of) for person, own in by_person.items()}


def timed(labels: Iterable[Label], time_of: Callable[[int], float]) -> PersonLabels:
    """Boxes with their times, in order of time; see `people_in`."""
    ordered = sorted(labels, key=lambda label: label.frame)
    return PersonLabels(
        np.array([time_of(label.frame) for label in ordered], np.float64),
        np.array([label.box for label in ordered], np.float32).reshape(-1, 4),
    )


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
    labels = read_labels(label_file) if label_file else Labels()
    facts = clip_facts(clip) if clip else None
    if facts is None and fps is None and labels.people:
        raise InputError(f"{label_file}: the clip {name}.mp4 is not beside it", "put it there, or give --fps")
    time_of = (facts or ClipFacts(fps or 1.0, 0.0)).time_of
    people = people_in(labels.people, time_of, _names(presence or ()))
    if presence is None:
        stays = [
            Appearance(name, who, float(own.times_s[0]), float(own.times_s[-1]))
            for who, own in people.items()
        ]
    else:
        stays = [row.stay for row in presence if row.counts and row.stay.stream_id == name]
    seconds = facts.seconds if facts else max([stay.end_s for stay in stays], default=0.0)
    return StreamTruth(name, seconds, tuple(stays), people, timed(labels.ignored, time_of))


def _names(presence: Iterable[Presence]) -> dict[int, str]:
    numbers = {row.stay.person_id: row.stay.person_id.removeprefix("p") for row in presence}
    return {int(number): person for person, number in numbers.items() if number.isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
