"""`world clips`: video of several cameras with labels, who was where when, and photographs to enrol."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainers.world.captions import describe
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, identity_seeds
from trainers.world.enrolment import photograph
from trainers.world.hard import Hardness, harden
from trainers.world.itinerary import Itinerary, Site, make_sites
from trainers.world.jobs import Report, run_jobs, write_whole
from trainers.world.looks import Look, sample_look
from trainers.world.names import name_of
from trainers.world.person import kept_person
from trainers.world.render import Seen, render
from trainers.world.rig import Pose
from trainers.world.video import VideoWriter
from trainers.world.view import CAREFUL, View

LEAST_VISIBLE = 0.1  # share of a body below which it is not labelled
CLEARLY_VISIBLE = 0.5
GAP_S = 2.0  # somebody who is out of sight for less has not left
REPORT_EVERY = 15  # frames
KEPT_PEOPLE = ".people"
COLUMNS = ("stream_id", "person_id", "start_s", "end_s", "visible_s", "max_height_px")
PRESENCE_FILE = "presence.csv"


@dataclass(frozen=True, slots=True)
class ClipsPlan:
    """All that decides the clips."""

    out: Path
    domains: tuple[Domain, ...]
    split: str
    seed: int
    people: int
    enrolled: int
    cameras: int
    seconds: float
    fps: float
    size: tuple[int, int]
    hardness: Hardness

    @property
    def frames(self) -> int:
        """Of each clip."""
        return round(self.seconds * self.fps)

    @property
    def looks(self) -> list[Look]:
        """Who is there, in the order of their numbers."""
        seeds = identity_seeds(self.split, self.seed, self.people)
        wardrobe = self.domains[0].wardrobe
        return harden([sample_look(seed, wardrobe) for seed in seeds], self.hardness, wardrobe)

    @property
    def streams(self) -> list[str]:
        """Names of the clips; the domains take turns."""
        places = len(self.domains)
        return [f"{self.domains[n % places].name}-{n // places + 1}" for n in range(self.cameras)]

    def sites(self) -> tuple[list[Site], list[tuple[Domain, int, int]]]:
        """All places, and for each camera its domain, its site and its lens there."""
        places, sites, where = len(self.domains), list[Site](), dict[int, tuple[Domain, int, int]]()
        for turn, domain in enumerate(self.domains):
            place, numbers = domain.place(), range(turn, self.cameras, places)
            for count, number in enumerate(numbers):
                site, lens = divmod(count, len(place.mounts))
                where[number] = domain, len(sites) + site, lens
            sites += make_sites(place, len(numbers), self.size)
        return sites, [where[number] for number in range(self.cameras)]

    def walks(
        self, sites: Sequence[Site], looks: Sequence[Look], camera: tuple[int, int]
    ) -> Iterator[Mapping[int, Pose]]:
        """For every frame, who is at a camera's site and how, by index. The poses are the live ones.

        Args:
            sites: All.
            looks: Everybody.
            camera: Its site, and its lens there.
        """
        site, together = camera[0], 2 if self.hardness.groups else 1
        itinerary = Itinerary(sites, looks, self.seed, together)
        return (everybody[site] for everybody in itinerary.frames(self.seconds, self.fps))


@dataclass(frozen=True, slots=True)
class Label:
    """A line of MOT text: frame and number from 1, box in pixels, visibility in [0, 1]."""

    frame: int
    number: int
    box: tuple[int, int, int, int]
    visibility: float

    def text(self) -> str:
        """As it is written."""
        return ",".join(map(str, (self.frame, self.number, *self.box, 1, 1, f"{self.visibility:.3f}")))


def make_clips(plan: ClipsPlan, workers: int | None = None) -> None:
    """Renders what is still missing in the folder, one camera a process."""
    missing = [number for number, stream in enumerate(plan.streams) if not labels_file(plan, stream).exists()]
    run_jobs(_render, [(plan, number) for number in missing], "frames", len(missing) * plan.frames, workers)
    _write_presence(plan)
    _write_people(plan)


def labels_file(plan: ClipsPlan, stream: str) -> Path:
    """Where the labels of a clip are written."""
    return plan.out / f"{stream}.gt.txt"


def _render(job: tuple[ClipsPlan, int], report: Report) -> None:
    plan, number = job
    cv2.setNumThreads(1)
    looks, (sites, where) = plan.looks, plan.sites()
    crowd = Crowd([kept_person(look, plan.out / KEPT_PEOPLE) for look in looks])
    domain, site, lens = where[number]
    view = View(
        sites[site].place,
        sites[site].cameras[lens],
        domain.style,
        seed=1000 * plan.seed + number,
        rays=CAREFUL,
    )
    rng = np.random.default_rng([50, plan.seed, number])
    labels: list[Label] = []
    with VideoWriter(plan.out / f"{plan.streams[number]}.mp4", plan.fps, plan.size) as video:
        for frame, poses in enumerate(plan.walks(sites, looks, (site, lens)), start=1):
            crowd.pose(poses)
            picture = render(view, crowd, poses, crowd.shadows(view, poses), rng)
            video.write(picture.image)
            labels += _labels(frame, picture.seen)
            if frame % REPORT_EVERY == 0:
                report(REPORT_EVERY)
    report(plan.frames % REPORT_EVERY)
    write_whole(labels_file(plan, plan.streams[number]), "".join(f"{label.text()}\n" for label in labels))


def _labels(frame: int, seen: Iterable[Seen]) -> list[Label]:
    found = []
    for person in seen:
        visibility = person.visibility * person.in_frame
        if person.box[2] and visibility >= LEAST_VISIBLE:
            found.append(Label(frame, person.index + 1, person.box, visibility))
    return found


def labels_of(text: str) -> list[Label]:
    """The labels of a clip, as they were written."""
    rows = [line.split(",") for line in text.splitlines()]
    return [
        Label(int(row[0]), int(row[1]), (int(row[2]), int(row[3]), int(row[4]), int(row[5])), float(row[8]))
        for row in rows
    ]


def stays(labels: Sequence[Label], fps: float) -> list[tuple[int, float, float, float, int]]:
    """Who was in sight from when to when: number, start_s, end_s, visible_s, max_height_px, by start."""
    spans: list[list[Label]] = []
    for label in sorted(labels, key=lambda label: (label.number, label.frame)):
        last = spans[-1][-1] if spans else None
        if last and last.number == label.number and (label.frame - last.frame - 1) / fps < GAP_S:
            spans[-1].append(label)
        else:
            spans.append([label])
    rows = [
        (
            span[0].number,
            (span[0].frame - 1) / fps,
            span[-1].frame / fps,
            sum(label.visibility >= CLEARLY_VISIBLE for label in span) / fps,
            max(label.box[3] for label in span),
        )
        for span in spans
    ]
    return sorted(rows, key=lambda row: (row[1], row[0]))


def _write_presence(plan: ClipsPlan) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for stream in plan.streams:
        labels = labels_of(labels_file(plan, stream).read_text(encoding="utf-8"))
        for number, start_s, end_s, visible_s, height_px in stays(labels, plan.fps):
            times = (f"{seconds:.2f}" for seconds in (start_s, end_s, visible_s))
            table.writerow([stream, f"p{number}", *times, height_px])
    write_whole(plan.out / PRESENCE_FILE, text.getvalue())


def _write_people(plan: ClipsPlan) -> None:
    rows = [
        {"id": f"p{number}", "name": name_of(look.body), "enrolled": number <= plan.enrolled}
        | {"text": describe(look)}
        | look.attributes()
        for number, look in enumerate(plan.looks, start=1)
    ]
    write_whole(plan.out / "people.json", json.dumps(rows, indent=1))
    folder = plan.out / "enrol"
    folder.mkdir(exist_ok=True)
    wanted = {f"p{number}": look for number, look in enumerate(plan.looks[: plan.enrolled], start=1)}
    missing = {name: look for name, look in wanted.items() if not (folder / f"{name}.jpg").exists()}
    if missing:
        people = [kept_person(look, plan.out / KEPT_PEOPLE) for look in missing.values()]
        for name, portrait in zip(missing, photograph(people, plan.seed), strict=True):
            cv2.imwrite(str(folder / f"{name}.jpg"), portrait, [cv2.IMWRITE_JPEG_QUALITY, 88])
