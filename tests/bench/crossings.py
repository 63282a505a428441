"""Makes clips in which people cross on purpose, with the truth about who covers whom for how long.

`python -m tests.bench.crossings OUT --domain hall+street --cameras 12 --people 6 --fps 30 --seconds 6`

OUT is what `musewatch world clips` leaves (`<stream>.mp4`, `.gt.txt`, `presence.csv`, `people.json`, `enrol/`), and
`crossings.json`: `[{"stream_id", "kind", "front", "behind", "start_s", "end_s", "covered_s"}]`. The person behind is
covered, by half or more, from `start_s` to `end_s`; a planned crossing that covers nobody (a pillar, the
picture's edge) is not listed. The kinds take turns: two `pass` each other; `meet` behind one another, stand, and turn
back; one walks up to another who stands, and `stops` in front; one `overtakes` the other.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.world.cli import size_of
from trainers.world.clips import CLEARLY_VISIBLE, ClipsPlan, labels_file, labels_of, make_clips
from trainers.world.domains import find_domain, identity_seeds
from trainers.world.hard import darkened, find_case
from trainers.world.itinerary import Site
from trainers.world.jobs import open_output, write_whole
from trainers.world.looks import Look
from trainers.world.motion import FULL_STRIDE
from trainers.world.rig import Pose

KINDS = ("pass", "meet", "stops", "overtakes")
CROSSINGS_FILE = "crossings.json"
STANDS_S = (0.3, 2.0)  # how long people who meet or stop stand there
APART_M = (0.45, 0.75)  # between the ways of the two, along the camera's view
ASLANT = 0.35  # radians at most, by which a way leaves the line across the picture
TRIES = 20  # places, of which the freest is taken
REACH_M = 2.6  # at most, from a crossing to the ends of its ways
SLOW_M_S, FAST_M_S = 0.6, 1.7
AT_CROSSING_S = 1.5  # what is covered within this of the plan's crossing belongs to it

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Way:
    """Where somebody is when: (N,) seconds ascending, (N, 2) metres; in between at even speed."""

    at_s: F64
    points: F64

    def pose(self, now: float, look: Look) -> Pose:
        """How one walks there: in step with the ground covered, facing where one goes or last went."""
        x, y = (float(np.interp(now, self.at_s, self.points[:, axis])) for axis in (0, 1))
        legs, spans = np.diff(self.points, axis=0), np.diff(self.at_s)
        far = np.linalg.norm(legs, axis=1)
        leg = int(np.clip(np.searchsorted(self.at_s, now, "right") - 1, 0, len(legs) - 1))
        moved = next((each for each in (*range(leg, -1, -1), *range(len(legs))) if far[each] > 0), leg)
        speed = far[leg] / spans[leg] if self.at_s[0] <= now < self.at_s[-1] else 0.0
        walked = float(np.interp(now, self.at_s, [0.0, *np.cumsum(far)]))
        heading = math.atan2(-legs[moved, 0], legs[moved, 1])
        amplitude = min(1.15, float(speed) / FULL_STRIDE)
        return Pose(x, y, heading, walked / look.stride % 1, amplitude, t=now)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Two people, by index, who are one behind the other in a camera's picture around a time."""

    kind: str
    front: int
    behind: int
    at_s: float
    ways: tuple[Way, Way]


@dataclass(frozen=True, slots=True)
class CrossingsPlan(ClipsPlan):
    """Clips in which everybody crosses somebody: in each camera other pairs, elsewhere, at other times."""

    def walks(
        self, sites: Sequence[Site], looks: Sequence[Look], camera: tuple[int, int]
    ) -> Iterator[Mapping[int, Pose]]:
        """For every frame, who is there and how, by index."""
        crossings = self.crossings(sites, looks, camera)
        for frame in range(self.frames):
            poses = {}
            for crossing in crossings:
                for index, way in zip((crossing.front, crossing.behind), crossing.ways, strict=True):
                    poses[index] = way.pose(frame / self.fps, looks[index])
            yield dict(sorted(poses.items()))

    def crossings(
        self, sites: Sequence[Site], looks: Sequence[Look], camera: tuple[int, int]
    ) -> list[Crossing]:
        """Those of one camera."""
        rng = np.random.default_rng([60, self.seed, *camera])
        order, site = rng.permutation(len(looks)), sites[camera[0]]
        crossings = []
        for pair in range(len(looks) // 2):
            kind = KINDS[(pair + sum(camera)) % len(KINDS)]
            front, behind = (int(index) for index in order[2 * pair : 2 * pair + 2])
            at_s = float(self.seconds * rng.uniform(0.3, 0.6))
            middle, across, ahead = _place(site, camera[1], rng)
            near = middle - ahead * rng.uniform(*APART_M)
            speeds = [
                float(np.clip(looks[who].body.gait.speed, SLOW_M_S, FAST_M_S)) for who in (front, behind)
            ]
            stands = float(rng.uniform(*STANDS_S))
            ways = _WAYS[kind](at_s, (near, middle), across, (speeds[0], speeds[1]), stands)
            crossings.append(Crossing(kind, front, behind, at_s, ways))
        return crossings


def _place(site: Site, lens: int, rng: np.random.Generator) -> tuple[F64, F64, F64]:
    """Where to cross, (2,); from there to the end of a way across the picture; the view's direction, one metre."""
    camera, spots = site.cameras[lens], site.spots[lens]
    best, found = -1.0, (spots[0], np.zeros(2), np.zeros(2))
    for _ in range(TRIES):
        middle, turn = spots[int(rng.integers(len(spots)))], rng.uniform(-ASLANT, ASLANT)
        ahead = (middle - camera.position[:2]) / np.linalg.norm(middle - camera.position[:2])
        right = np.array([ahead[1], -ahead[0]])
        across = (right * math.cos(turn) + ahead * math.sin(turn)) * rng.choice((-1.0, 1.0))
        steps = np.arange(0.2, REACH_M + 0.1, 0.2)
        free = [
            all(site.ways.is_free(tuple(middle + off + side * step * across)) for off in (0 * ahead, -ahead))
            for step in steps
            for side in (-1, 1)
        ]
        reach = float(steps[-1]) if all(free) else float(steps[free.index(False) // 2]) - 0.2
        if reach > best:
            best, found = reach, (middle, across * reach, ahead)
    return found


def _line(points: Sequence[F64], at: int, at_s: float, speed: float, stands_s: float = 0.0) -> Way:
    """Along points at a speed, so that point `at` is reached at `at_s` and left `stands_s` later."""
    far = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]) / speed
    times = far - far[at] + at_s
    before, after = times[: at + 1], times[at:] + stands_s
    middle = [times[at]] if stands_s == 0 else [times[at], times[at] + stands_s]
    stops = [points[at]] * len(middle)
    return Way(
        np.array([*before[:-1], *middle, *after[1:]]), np.array([*points[:at], *stops, *points[at + 1 :]])
    )


def _passing(
    at_s: float, middles: tuple[F64, F64], across: F64, speeds: tuple[float, float], stands_s: float
) -> tuple[Way, Way]:
    del stands_s
    ways = [
        _line([m - side * across, m, m + side * across], 1, at_s, speed)
        for m, side, speed in zip(middles, (1, -1), speeds, strict=True)
    ]
    return ways[0], ways[1]


def _meeting(
    at_s: float, middles: tuple[F64, F64], across: F64, speeds: tuple[float, float], stands_s: float
) -> tuple[Way, Way]:
    ways = [
        _line([m - side * across, m, m - side * across], 1, at_s, speed, stands_s)
        for m, side, speed in zip(middles, (1, -1), speeds, strict=True)
    ]
    return ways[0], ways[1]


def _stopping(
    at_s: float, middles: tuple[F64, F64], across: F64, speeds: tuple[float, float], stands_s: float
) -> tuple[Way, Way]:
    near, far = middles
    walks = _line([near - across, near, near + across], 1, at_s, speeds[0], stands_s)
    return walks, Way(np.array([at_s - 1, at_s]), np.stack([far - 0.01 * across, far]))


def _overtaking(
    at_s: float, middles: tuple[F64, F64], across: F64, speeds: tuple[float, float], stands_s: float
) -> tuple[Way, Way]:
    del stands_s
    near, far = middles
    fast = max(speeds[0], 1.6 * SLOW_M_S)
    return (
        _line([near - across, near, near + across], 1, at_s, fast),
        _line([far - across, far, far + across], 1, at_s, fast / 1.6),
    )


_WAYS = {"pass": _passing, "meet": _meeting, "stops": _stopping, "overtakes": _overtaking}


def make_crossings(plan: CrossingsPlan, workers: int | None = None) -> None:
    """Renders what is still missing in the folder, and writes `crossings.json`."""
    make_clips(plan, workers)
    sites, where = plan.sites()
    looks = plan.looks
    rows = []
    for stream, (_, site, lens) in zip(plan.streams, where, strict=True):
        for crossing in plan.crossings(sites, looks, (site, lens)):
            covered = _covered(plan, stream, crossing)
            if covered:
                rows.append(covered)
    write_whole(plan.out / CROSSINGS_FILE, json.dumps(rows, indent=1))


def _covered(plan: CrossingsPlan, stream: str, crossing: Crossing) -> dict[str, object] | None:
    """A row of the file: the longest time around the crossing that the one behind is covered, from the labels."""
    labels = labels_of(labels_file(plan, stream).read_text(encoding="utf-8"))
    seen = {label.frame: label.visibility for label in labels if label.number == crossing.behind + 1}
    if not seen or crossing.front + 1 not in {label.number for label in labels}:
        return None
    first, last = min(seen), max(seen)
    near = AT_CROSSING_S + (STANDS_S[1] if crossing.kind in ("meet", "stops") else 0)
    runs: list[list[int]] = []
    for frame in range(first, last + 1):
        if seen.get(frame, 0.0) >= CLEARLY_VISIBLE or abs((frame - 1) / plan.fps - crossing.at_s) > near:
            continue
        if runs and frame - runs[-1][-1] == 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    if not runs:
        return None
    run = max(runs, key=len)
    return {
        "stream_id": stream,
        "kind": crossing.kind,
        "front": f"p{crossing.front + 1}",
        "behind": f"p{crossing.behind + 1}",
        "start_s": round((run[0] - 1) / plan.fps, 3),
        "end_s": round(run[-1] / plan.fps, 3),
        "covered_s": round(len(run) / plan.fps, 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command of the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--domain", default="hall", help="one, or several as hall+street; they take turns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=6, help="two for each crossing of a clip")
    parser.add_argument("--cameras", type=int, default=3, help="clips")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--enrolled", type=int, help="how many get a photograph; else all")
    parser.add_argument("--hard", default="none", help="as of `musewatch world clips`")
    parser.add_argument("--split", default="test", help="whose identities")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    case = find_case(given.hard)
    domains = tuple(darkened(find_domain(name), case) for name in given.domain.split("+"))
    identity_seeds(given.split, given.seed, given.people)
    enrolled = given.people if given.enrolled is None else min(given.people, given.enrolled)
    plan = CrossingsPlan(
        given.out, domains, given.split, given.seed, given.people, enrolled, given.cameras, given.seconds,
        given.fps, size_of(given.size), case,
    )  # fmt: skip
    open_output(given.out, {"command": "crossings"} | dataclasses.asdict(plan) | {"out": ""})
    make_crossings(plan, given.workers)


if __name__ == "__main__":
    main()
