"""Where one can walk in a place, which way is short, and from where a camera sees a whole person well."""

import heapq
import math

import numpy as np

from trainers.world.bake import blocked
from trainers.world.camera import Camera
from trainers.world.compiled import F64
from trainers.world.places import Place, Point

CELL = 0.3  # metres
CLEARANCE = 0.34  # metres between a way and what stands there
MARGIN = 12.0  # metres around the area: gates lie outside it
TYPICAL_HEIGHT = 1.7
EYE_LEVELS = (0.4, 1.1, 1.6)  # metres, all of which a camera must see
_STEPS = [(i, j, math.hypot(i, j)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


class Ways:
    """The free ground of a place as a grid, with shortest ways on it."""

    def __init__(self, place: Place) -> None:
        area = place.area
        self._x0, self._y0 = area[0] - MARGIN, area[2] - MARGIN
        self._shape = (
            int((area[1] - area[0] + 2 * MARGIN) / CELL),
            int((area[3] - area[2] + 2 * MARGIN) / CELL),
        )
        x = self._x0 + (np.arange(self._shape[0]) + 0.5)[:, None] * CELL
        y = self._y0 + (np.arange(self._shape[1]) + 0.5)[None, :] * CELL
        self._taken = np.zeros(self._shape, bool)
        for x0, y0, x1, y1 in place.obstacles:
            self._taken |= (
                (x > x0 - CLEARANCE) & (x < x1 + CLEARANCE) & (y > y0 - CLEARANCE) & (y < y1 + CLEARANCE)
            )

    def is_free(self, point: Point) -> bool:
        """Whether somebody can stand there."""
        i, j = self._cell(point)
        return not self._taken[i, j]

    def route(self, start: Point, goal: Point) -> list[Point]:
        """Corners of a short way, without `start`; just the goal where no way is found."""
        cells = self._search(self._cell(start), self._cell(goal))
        if not cells:
            return [goal]
        points = [start, *(self._point(cell) for cell in cells[1:-1]), goal]
        out, at = [], 0
        while at < len(points) - 1:
            ahead = len(points) - 1
            while ahead > at + 1 and not self._clear(points[at], points[ahead]):
                ahead -= 1
            out.append(points[ahead])
            at = ahead
        return out

    def _search(self, start: tuple[int, int], goal: tuple[int, int]) -> list[tuple[int, int]]:
        came: dict[tuple[int, int], tuple[int, int]] = {start: start}
        cost = {start: 0.0}
        queue = [(math.dist(start, goal), start)]
        while queue:
            _, at = heapq.heappop(queue)
            if at == goal:
                return _unwound(came, goal)
            for di, dj, far in _STEPS:
                to = at[0] + di, at[1] + dj
                if not (0 <= to[0] < self._shape[0] and 0 <= to[1] < self._shape[1]):
                    continue
                if self._taken[to] and to != goal:
                    continue
                if cost[at] + far < cost.get(to, math.inf):
                    cost[to], came[to] = cost[at] + far, at
                    heapq.heappush(queue, (cost[to] + math.dist(to, goal), to))
        return []

    def _clear(self, a: Point, b: Point) -> bool:
        count = max(2, int(math.dist(a, b) / (CELL / 2)))
        return all(
            self.is_free((a[0] + (b[0] - a[0]) * k / count, a[1] + (b[1] - a[1]) * k / count))
            for k in range(1, count)
        )

    def _cell(self, point: Point) -> tuple[int, int]:
        i, j = int((point[0] - self._x0) / CELL), int((point[1] - self._y0) / CELL)
        return min(max(i, 0), self._shape[0] - 1), min(max(j, 0), self._shape[1] - 1)

    def _point(self, cell: tuple[int, int]) -> Point:
        return self._x0 + (cell[0] + 0.5) * CELL, self._y0 + (cell[1] + 0.5) * CELL


def _unwound(came: dict[tuple[int, int], tuple[int, int]], goal: tuple[int, int]) -> list[tuple[int, int]]:
    cells = [goal]
    while came[cells[-1]] != cells[-1]:
        cells.append(came[cells[-1]])
    return cells[::-1]


def good_spots(place: Place, camera: Camera, ways: Ways, least_px: float, most_share: float = 0.92) -> F64:
    """Free ground (N, 2) where a camera sees somebody whole, unhidden, and at least `least_px` tall."""
    x0, x1, y0, y1 = place.area
    grid = [(float(x), float(y)) for x in np.arange(x0, x1, 0.4) for y in np.arange(y0, y1, 0.4)]
    free = np.array([point for point in grid if ways.is_free(point)])
    feet = camera.project(np.column_stack([free, np.zeros(len(free))]))
    head = camera.project(np.column_stack([free, np.full(len(free), TYPICAL_HEIGHT)]))
    tall = feet[:, 1] - head[:, 1]
    inside = (tall >= least_px) & (tall <= most_share * camera.height) & (feet[:, 2] > 1.5)
    inside &= (feet[:, 0] > 0.2 * tall) & (feet[:, 0] < camera.width - 0.2 * tall)
    inside &= (head[:, 1] > 0) & (feet[:, 1] < camera.height)
    return np.array([point for point in free[inside] if _in_sight(place, camera, point)]).reshape(-1, 2)


def _in_sight(place: Place, camera: Camera, point: F64) -> bool:
    for z in EYE_LEVELS:
        ray = np.array([point[0], point[1], z]) - camera.position
        far = float(np.linalg.norm(ray))
        if blocked(camera.position, ray / far, place.solids, far - 0.1):
            return False
    return True
