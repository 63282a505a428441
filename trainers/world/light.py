"""What lights somebody in a place: the key light as far as the way to it is open, and the strongest lamps."""

import numpy as np

from trainers.world.bake import Light, Solids, blocked
from trainers.world.compiled import F32, F64, compiled

LIGHTS = 3  # that a person is lit by: the key light and the two strongest lamps
CELLS = 4  # to a metre: light on a person is kept that finely
RAYS, FARTHEST = 12, 60.0  # to the key light from all over the body, metres
# Metres: where those rays begin, over what height, and what lamps are aimed at.
FEET, BODY, CHEST = 0.3, 1.4, 1.1


class LightOnPeople:
    """The light at places on the ground, each cast once.

    Args:
        light: Of the place.
        lamps: (N, 7) positions and colours, with the camera's own.
        solids: What stands in the way.
        infrared: Lamps are ranked by what they give in near infrared.
    """

    def __init__(self, light: Light, lamps: F64, solids: Solids, infrared: bool) -> None:
        self._light, self._lamps, self._solids, self._infrared = light, lamps, solids, infrared
        rng = np.random.default_rng(1)
        rays = [
            (-light.key + light.soft * rng.standard_normal(3), FEET + BODY * rng.random())
            for _ in range(RAYS)
        ]
        self._towards, self._heights = np.array([ray[0] for ray in rays]), np.array([ray[1] for ray in rays])
        self._kept: dict[tuple[int, int], tuple[F32, F32]] = {}

    def at(self, x: float, y: float) -> tuple[F32, F32]:
        """Directions (LIGHTS, 3) and colours (LIGHTS, 4) of what lights somebody at (x, y)."""
        cell = round(x * CELLS), round(y * CELLS)
        if cell not in self._kept:
            self._kept[cell] = self._cast(cell[0] / CELLS, cell[1] / CELLS)
        return self._kept[cell]

    def _cast(self, x: float, y: float) -> tuple[F32, F32]:
        lit, found = self._light, []
        clear = _open_rays(x, y, self._heights, self._towards, self._solids)
        chest = np.array([x, y, CHEST])
        for lamp in self._lamps:
            ray: F64 = chest - lamp[:3]
            far = float(np.linalg.norm(ray))
            if not blocked(chest, -ray / far, self._solids, far - 0.3):
                found.append((ray / far, lamp[3:] / (1 + far * far)))
        found.sort(key=lambda lamp: -float(lamp[1][3] if self._infrared else lamp[1][:3].sum()))
        dark = (lit.key, np.zeros(4))
        lights = [(lit.key, lit.key_colour * clear / RAYS), *found, dark, dark][:LIGHTS]
        directions, colours = zip(*lights, strict=True)
        return np.array(directions, np.float32), np.array(colours, np.float32)


@compiled
def _open_rays(x: float, y: float, heights: F64, towards: F64, solids: Solids) -> int:
    """How many rays from above (x, y) meet nothing."""
    count = 0
    for i in range(heights.shape[0]):
        count += not blocked(np.array([x, y, heights[i]]), towards[i], solids, FARTHEST)
    return count
