"""One camera in a place: its empty picture ray-cast once, its sensor, and the light on people there."""

import numpy as np

from trainers.world.bake import bake
from trainers.world.camera import Camera
from trainers.world.light import LightOnPeople
from trainers.world.places import Place
from trainers.world.sensor import Sensor, Style, jittered

SAMPLES = 2  # along a pixel's edge
SHADOW_CELL = 0.04  # metres
SHADOW_MARGIN = 3.0  # metres around the area
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
        self.light = LightOnPeople(place.light, self.lamps, place.solids, style.infrared)
