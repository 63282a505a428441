"""One camera in a place: its empty picture ray-cast once, its sensor, and the light that falls on people there."""

import numpy as np

from trainers.world.bake import bake, blocked
from trainers.world.camera import Camera
from trainers.world.compiled import F32, F64
from trainers.world.places import Place
from trainers.world.sensor import Sensor, Style, jittered

SAMPLES = 2  # along a pixel's edge
SHADOW_CELL = 0.04  # metres
SHADOW_MARGIN = 3.0  # metres around the area
LIGHTS = 3  # that a person is lit by: the key light and the two strongest lamps
LIGHT_CELLS = 4  # to a metre: light on a person is kept that finely
CHEST = 1.1  # metres
FLOOD = (0.0, 0.0, 0.0, 40.0)  # the infrared lamp beside the lens
CAREFUL, QUICK = (20, 40), (10, 20)  # rays to the key light and into the open


class View:
    """A camera bound to a place.

    Args:
        place: Where it hangs.
        camera: How it looks.
        style: Its model of sensor.
        seed: Makes it differ from its neighbours.
        rays: `CAREFUL` or `QUICK`.
    """

    def __init__(
        self, place: Place, camera: Camera, style: Style, seed: int = 0, rays: tuple[int, int] = QUICK
    ) -> None:
        self.place, self.camera = place, camera
        self.lamps = place.light.lamps
        if style.infrared:
            flood = np.array([[*(camera.position + camera.rows[2] * 0.2), *FLOOD]])
            self.lamps = np.concatenate([self.lamps, flood])
        u, v = np.meshgrid(
            (np.arange(camera.width * SAMPLES) + 0.5) / SAMPLES,
            (np.arange(camera.height * SAMPLES) + 0.5) / SAMPLES,
        )
        lit = place.light._replace(lamps=self.lamps)
        self.key, self.ambient, self.depth, ground = bake(
            camera.position, camera.rays(u, v), SAMPLES, place.solids, lit, rays, seed
        )
        self.sensor = Sensor(
            jittered(style, np.random.default_rng([30, seed])),
            np.asarray(self.key + self.ambient, np.float32),
        )
        area = place.area
        self.corner = area[0] - SHADOW_MARGIN, area[2] - SHADOW_MARGIN
        self.grid_shape = (
            int((area[3] - area[2] + 2 * SHADOW_MARGIN) / SHADOW_CELL),
            int((area[1] - area[0] + 2 * SHADOW_MARGIN) / SHADOW_CELL),
        )
        cells = (np.nan_to_num(ground, nan=-1e4) - self.corner) / SHADOW_CELL - 0.5
        self.cell_x, self.cell_y = (np.ascontiguousarray(cells[..., i], np.float32) for i in (0, 1))
        self._light_at: dict[tuple[int, int], tuple[F32, F32]] = {}

    def light_on(self, x: float, y: float) -> tuple[F32, F32]:
        """Directions (LIGHTS, 3) and colours (LIGHTS, 4) of what lights somebody at (x, y)."""
        cell = round(x * LIGHT_CELLS), round(y * LIGHT_CELLS)
        if cell not in self._light_at:
            self._light_at[cell] = self._cast(cell[0] / LIGHT_CELLS, cell[1] / LIGHT_CELLS)
        return self._light_at[cell]

    def _cast(self, x: float, y: float) -> tuple[F32, F32]:
        lit, rng, open_rays = self.place.light, np.random.default_rng(1), 0
        for _ in range(12):
            towards = -lit.key + lit.soft * rng.standard_normal(3)
            at = np.array([x, y, 0.3 + 1.4 * rng.random()])
            open_rays += not blocked(at, towards, self.place.solids, 60.0)
        found = []
        chest = np.array([x, y, CHEST])
        for lamp in self.lamps:
            ray: F64 = chest - lamp[:3]
            far = float(np.linalg.norm(ray))
            if not blocked(chest, -ray / far, self.place.solids, far - 0.3):
                found.append((ray / far, lamp[3:] / (1 + far * far)))
        infrared = self.sensor.style.infrared
        found.sort(key=lambda lamp: -float(lamp[1][3] if infrared else lamp[1][:3].sum()))
        dark = (lit.key, np.zeros(4))
        lights = [(lit.key, lit.key_colour * open_rays / 12), *found, dark, dark][:LIGHTS]
        directions, colours = zip(*lights, strict=True)
        return np.array(directions, np.float32), np.array(colours, np.float32)
