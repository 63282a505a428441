"""Who walks where and when: people pass from camera to camera, and from site to site, for as long as it lasts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from trainers.world.camera import Camera
from trainers.world.compiled import F64
from trainers.world.looks import Look
from trainers.world.motion import Step, Walkers
from trainers.world.places import Place, Point
from trainers.world.rig import ACTS, Pose
from trainers.world.ways import Ways, good_spots

WARM_UP_S = 15.0  # walked before the first picture, so that it is not empty
SITE_WALK_S = (6.0, 20.0)  # from one site to another
AWAY_S = (4.0, 25.0)  # outside, before somebody comes back
LEAST_PX = 0.2  # of the picture's height: people are sent where a camera sees them at least so tall
LONGEST_STEP_S = 1 / 25
BESIDE_M = 0.4  # in x and in y, between people who enter together


@dataclass(slots=True)
class Site:
    """A place of its own with the cameras that hang in it."""

    place: Place
    cameras: list[Camera]
    ways: Ways
    spots: list[F64]
    walkers: Walkers = field(init=False)

    def __post_init__(self) -> None:
        self.walkers = Walkers(self.place.obstacles)


def make_sites(place: Place, cameras: int, size: tuple[int, int]) -> list[Site]:
    """As many copies of a place as its mounts need to hold that many cameras."""
    ways = Ways(place)
    lenses = [Camera(mount, *size) for mount in place.mounts]
    spots = [good_spots(place, lens, ways, LEAST_PX * size[1]) for lens in lenses]
    sites = []
    for first in range(0, cameras, len(lenses)):
        here = min(len(lenses), cameras - first)
        sites.append(Site(place, lenses[:here], ways, spots[:here]))
    return sites


@dataclass(slots=True)
class _Traveller:
    rng: np.random.Generator
    next_s: float
    site: int


class Itinerary:
    """A run of the world: deterministic by seed, and the same for every camera that looks at it.

    Args:
        sites: Where.
        looks: Who.
        seed: Of all that is drawn.
        together: So many go the same way at the same time, side by side.
    """

    def __init__(self, sites: Sequence[Site], looks: Sequence[Look], seed: int, together: int = 1) -> None:
        self._sites, self._looks, self._seed, self._together = sites, looks, seed, together

    def frames(self, seconds: float, fps: float) -> Iterator[list[dict[int, Pose]]]:
        """For every frame, for every site, who is there and how, by index. The poses are the live ones."""
        for site in self._sites:
            site.walkers.under_way.clear()
        people = [self._traveller(index, seconds) for index in range(len(self._looks))]
        substeps = math.ceil(1 / fps / LONGEST_STEP_S)
        dt, warm = 1 / fps / substeps, round(WARM_UP_S * fps)
        for frame in range(warm + round(seconds * fps)):
            now = (frame - warm) / fps
            for index, person in enumerate(people):
                if person.next_s <= now:
                    self._enter(index, person)
            for _ in range(substeps):
                self._walk(people, now, dt)
            if frame >= warm:
                yield [dict(site.walkers.poses()) for site in self._sites]

    def _traveller(self, index: int, seconds: float) -> _Traveller:
        rng = np.random.default_rng([40, self._seed, index - index % self._together])
        spread = (
            rng.permutation(64)[0] / 64
        )  # drawn from a stream of its own: one more person changes nobody else
        start = -WARM_UP_S + spread * (WARM_UP_S + 0.55 * seconds)
        return _Traveller(rng, float(start), int(rng.integers(len(self._sites))))

    def _enter(self, index: int, person: _Traveller) -> None:
        person.next_s = math.inf
        site = self._sites[person.site]
        start, route = self._plan(site, person.rng)
        look, aside = self._looks[index], index % self._together
        site.walkers.enter(
            index,
            (start[0] + BESIDE_M * aside, start[1] + BESIDE_M * aside),
            route,
            max(0.6, self._looks[index - aside].body.gait.speed),
            look.stride,
            person.rng.random(),
            50 * person.rng.random(),
        )

    def _walk(self, people: Sequence[_Traveller], now: float, dt: float) -> None:
        for number, site in enumerate(self._sites):
            for index in site.walkers.step(dt):
                person = people[index]
                others = [other for other in range(len(self._sites)) if other != number]
                moves_on = bool(others) and person.rng.random() < 0.8
                person.site = int(person.rng.choice(others)) if moves_on else number
                person.next_s = now + float(person.rng.uniform(*(SITE_WALK_S if moves_on else AWAY_S)))

    def _plan(self, site: Site, rng: np.random.Generator) -> tuple[Point, list[Step]]:
        """In by a gate, past the cameras in some order, out by a gate."""
        gates = site.place.gates
        way_in, way_out = gates[int(rng.integers(len(gates)))], gates[int(rng.integers(len(gates)))]
        steps = [Step(*point) for point in way_in[1:]]
        at = way_in[-1]
        for camera in rng.permutation(len(site.cameras)):
            if not len(site.spots[camera]):
                continue
            for _ in range(int(rng.integers(1, 3))):
                spot = site.spots[camera][int(rng.integers(len(site.spots[camera])))]
                goal = float(spot[0]), float(spot[1])
                steps += [Step(*point) for point in site.ways.route(at, goal)]
                at = goal
            if rng.random() < 0.4:
                steps[-1] = Step(*at, float(rng.uniform(1.5, 4.5)), str(rng.choice(ACTS)))
        steps += [Step(*point) for point in site.ways.route(at, way_out[-1])]
        return way_in[0], [*steps, *(Step(*point) for point in way_out[-2::-1])]
