"""People walk: towards the next point of their route, around each other and around what stands there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trainers.world.compiled import F64
from trainers.world.rig import Pose

REACHED = 0.45  # metres
PERSONAL = 1.3  # metres within which others are avoided
WALL = 0.8  # metres within which obstacles are avoided
FULL_STRIDE = 1.25  # m/s at which the gait has its full amplitude


@dataclass(frozen=True, slots=True)
class Step:
    """A point to walk to, and how long to stand there doing what."""

    x: float
    y: float
    pause_s: float = 0.0
    act: str = "walk"


@dataclass(slots=True)
class Walker:
    """Somebody under way."""

    pose: Pose
    speed: float
    stride: float
    route: list[Step]
    velocity: F64 = field(default_factory=lambda: np.zeros(2))
    wait_s: float = 0.0
    turned: bool = False

    @property
    def arrived(self) -> bool:
        """Nothing left to walk to."""
        return not self.route and self.wait_s <= 0


class Walkers:
    """All who are in one place.

    Args:
        obstacles: (N, 4) x0, y0, x1, y1.
    """

    def __init__(self, obstacles: F64) -> None:
        self.under_way: dict[int, Walker] = {}
        self._obstacles = obstacles

    def enter(self, index: int, start: tuple[float, float], route: Sequence[Step], speed: float, stride: float,
              phase: float, t: float) -> None:  # fmt: skip
        """Somebody appears at `start`."""
        self.under_way[index] = Walker(
            Pose(*start, heading=0.0, phase=phase, t=t), speed, stride, list(route)
        )

    def step(self, dt: float) -> list[int]:
        """Moves everybody on; returns who has arrived and is gone."""
        at = {index: np.array([walker.pose.x, walker.pose.y]) for index, walker in self.under_way.items()}
        for index, walker in self.under_way.items():
            self._decide(walker, at[index], dt)
            others = [place for other, place in at.items() if other != index]
            self._move(walker, at[index], others, dt)
        gone = [index for index, walker in self.under_way.items() if walker.arrived]
        for index in gone:
            del self.under_way[index]
        return gone

    def poses(self) -> Mapping[int, Pose]:
        """Where everybody is, by index."""
        return {index: walker.pose for index, walker in sorted(self.under_way.items())}

    def _decide(self, walker: Walker, at: F64, dt: float) -> None:
        walker.wait_s -= dt
        if walker.wait_s > 0:
            return
        walker.pose.act = "walk"
        while walker.route and math.dist((walker.route[0].x, walker.route[0].y), at) < REACHED:
            done = walker.route.pop(0)
            if done.pause_s > 0:
                walker.wait_s, walker.pose.act = done.pause_s, done.act
                return

    def _move(self, walker: Walker, at: F64, others: list[F64], dt: float) -> None:
        wanted = np.zeros(2)
        if walker.wait_s <= 0 and walker.route:
            ahead = np.array([walker.route[0].x, walker.route[0].y]) - at
            wanted = ahead / max(float(np.linalg.norm(ahead)), 1e-6) * walker.speed
        push = (wanted - walker.velocity) / 0.45 + _from_people(at, others) + self._from_things(at, wanted)
        walker.velocity = walker.velocity + push * dt
        speed = float(np.linalg.norm(walker.velocity))
        if speed > walker.speed * 1.2:
            walker.velocity *= walker.speed * 1.2 / speed
            speed = walker.speed * 1.2
        pose = walker.pose
        pose.x += float(walker.velocity[0] * dt)
        pose.y += float(walker.velocity[1] * dt)
        if speed > 0.15:
            heading = math.atan2(-walker.velocity[0], walker.velocity[1])
            turn = (heading - pose.heading + math.pi) % (2 * math.pi) - math.pi
            pose.heading += turn * min(1.0, dt * 5) if walker.turned else turn
            walker.turned = True
        pose.amplitude += (min(1.15, speed / FULL_STRIDE) - pose.amplitude) * min(1.0, dt * 6)
        pose.phase = (pose.phase + speed * dt / (walker.stride * max(0.35, pose.amplitude))) % 1
        pose.t += dt

    def _from_things(self, at: F64, wanted: F64) -> F64:
        """Away from obstacles, and along those that are in the way."""
        off = at - np.clip(at, self._obstacles[:, :2], self._obstacles[:, 2:])
        far = np.hypot(off[:, 0], off[:, 1])
        push = np.zeros(2)
        for vector, distance in zip(off, far, strict=True):
            if 1e-6 < distance < WALL:
                away = vector / distance
                push += away * math.exp((0.3 - distance) / 0.12) * 2
                if wanted @ away < 0 and distance < 0.45:
                    along = away[0] * wanted[1] - away[1] * wanted[0]
                    push += np.array([-away[1], away[0]]) * math.copysign(1.2, along)
        return push


def _from_people(at: F64, others: list[F64]) -> F64:
    push = np.zeros(2)
    for other in others:
        off = at - other
        distance = float(np.hypot(off[0], off[1]))
        if 1e-6 < distance < PERSONAL:
            off = off / distance
            push += off * math.exp((0.6 - distance) / 0.25) * 1.5 + np.array([-off[1], off[0]]) * 0.3
    return push
