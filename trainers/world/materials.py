"""What walls and floors are made of: procedural colour and near infrared at a point of a face."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from trainers.world.compiled import F64, compiled
from trainers.world.wardrobe import Colour

PLAIN, TILES, BRICKS, CHECKER, ASPHALT, PLANKS, POSTER, WINDOWS, FOLIAGE, RIBS, LAMP, GRASS = range(12)
M_KIND, M_FIRST, M_SECOND, M_SCALE, M_NIR, M_GLOSS, M_POSTER = 0, 1, 4, 7, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Material:
    """Two sRGB colours and how they alternate; `scale` metres, `nir` and `gloss` in [0, 1]."""

    kind: int
    first: Colour
    second: Colour = (0, 0, 0)
    scale: float = 1.0
    nir: float = 0.4
    gloss: float = 0.0
    poster: int = 0

    def row(self) -> list[float]:
        """As the kernels take it, colours linear."""
        return [
            self.kind, *linear(self.first), *linear(self.second), self.scale, self.nir, self.gloss, self.poster
        ]  # fmt: skip


def linear(srgb: Any) -> F64:
    """SRGB 0 to 255 as linear light in [0, 1]."""
    return np.asarray(((np.asarray(srgb, np.float64) / 255 + 0.055) / 1.055) ** 2.4)


def draw_posters(rng: np.random.Generator, count: int = 8) -> F64:
    """Pictures to hang on walls, (count, 180, 128, 3) linear."""
    return np.array([linear(_poster(rng)) for _ in range(count)])


def _poster(rng: np.random.Generator) -> Any:
    top, bottom = rng.integers(20, 240, 3), rng.integers(20, 240, 3)
    share = np.linspace(0, 1, 180)[:, None, None]
    picture = np.zeros((180, 128, 3), np.uint8)
    picture[:] = (top * (1 - share) + bottom * share).astype(np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        x, y = (int(c) for c in rng.integers(0, 128, 2))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y + 30), int(rng.integers(10, 45)), colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, (x - 30, y), (x + 20, y + 40), colour, -1)
    ink = (250, 250, 250) if top.mean() < 128 else (20, 20, 20)
    word = "".join(rng.choice(list("AEIOULNRSTDKM"), 5))
    cv2.putText(picture, word, (8, 34), cv2.FONT_HERSHEY_DUPLEX, 1.1, ink, 2, cv2.LINE_AA)
    ink = (240, 240, 240) if bottom.mean() < 128 else (30, 30, 30)
    for line in range(4):
        y = 140 + 9 * line
        cv2.line(picture, (12, y), (12 + int(rng.integers(50, 104)), y), ink, 2)
    return picture


@compiled
def hashed(i: int, j: int) -> float:
    """A fixed pseudo-random number in [0, 1] of a cell."""
    n = (i * 374761393 + j * 668265263) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@compiled
def value_noise(u: float, v: float) -> float:
    """Smooth noise in [0, 1] with cells of unit size."""
    i, j = math.floor(u), math.floor(v)
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = hashed(i, j) * (1 - a) + hashed(i + 1, j) * a
    return low * (1 - b) + (hashed(i, j + 1) * (1 - a) + hashed(i + 1, j + 1) * a) * b


@compiled
def _laid(kind: int, s: float, u: float, v: float) -> tuple[float, float]:
    """Materials laid in pieces: share of the second colour, and brightness."""
    if kind == TILES:
        i, j = math.floor(u / s), math.floor(v / s)
        grout = u - i * s < 0.012 or v - j * s < 0.012
        return 1.0 if grout else 0.0, 0.92 + 0.16 * hashed(int(i), int(j))
    if kind == BRICKS:
        j = math.floor(v / (s * 0.33))
        along = u / s + (int(j) % 2) * 0.5
        i = math.floor(along)
        mortar = along - i < 0.04 or v / (s * 0.33) - j < 0.12
        return 1.0 if mortar else 0.0, 0.75 + 0.5 * hashed(int(i), int(j) + 77)
    if kind == CHECKER:
        return float((math.floor(u / s) + math.floor(v / s)) % 2), 1.0
    if kind == PLANKS:
        j = math.floor(u / s)
        grain = 0.25 * (value_noise(u * 30, v * 2 + 9 * hashed(int(j), 3)) - 0.5)
        return 1.0 if u / s - j < 0.04 else 0.0, 0.8 + 0.3 * hashed(int(j), 5) + grain
    i, j = math.floor(u / s), math.floor(v / (s * 1.5))
    a, b = u / s - i, v / (s * 1.5) - j
    return 1.0 if (a < 0.06 or b < 0.04) else 0.0, 0.55 + 0.9 * hashed(int(i), int(j)) + 0.35 * b


@compiled
def _grown(kind: int, s: float, u: float, v: float) -> tuple[float, float]:
    """Materials without pieces: share of the second colour, and brightness."""
    if kind == ASPHALT:
        bright = 0.7 + 0.6 * hashed(math.floor(u * 45), math.floor(v * 45))
        return 0.0, bright * (0.78 if value_noise(u * 0.5, v * 0.5) > 0.72 else 1.0)
    if kind == FOLIAGE:
        return 1.0 if value_noise(u * 9 + 30, v * 9) > 0.6 else 0.0, 0.35 + 1.2 * value_noise(u * 14, v * 14)
    if kind == GRASS:
        worn = value_noise(u * 0.7, v * 0.7) * 0.7 + value_noise(u * 3, v * 3) * 0.3
        return min(1.0, max(0.0, worn * 3 - 1.4)), 0.55 + 0.9 * value_noise(u * 25, v * 11)
    if kind == RIBS:
        return 0.0, 0.72 + 0.28 * math.sin(v / s * 6.28)
    return 0.0, 1.0


@compiled
def albedo(material: F64, posters: F64, u: float, v: float, out: F64) -> None:
    """Linear rgb and near infrared at (u, v) metres of a face; of a poster (u, v) is in [0, 1]."""
    kind = int(material[M_KIND])
    if kind == POSTER:
        poster = posters[int(material[M_POSTER])]
        i = min(max(int((1 - v) * (poster.shape[0] - 1)), 0), poster.shape[0] - 1)
        j = min(max(int(u * (poster.shape[1] - 1)), 0), poster.shape[1] - 1)
        for c in range(3):
            out[c] = poster[i, j, c]
        out[3] = 0.3 + 0.4 * poster[i, j, 0]
        return
    grain = (
        value_noise(u * 1.3, v * 1.3) * 0.5
        + value_noise(u * 5, v * 5) * 0.3
        + value_noise(u * 40, v * 40) * 0.2
    )
    if kind in (TILES, BRICKS, CHECKER, PLANKS, WINDOWS):
        second, bright = _laid(kind, material[M_SCALE], u, v)
    else:
        second, bright = _grown(kind, material[M_SCALE], u, v)
    bright *= 0.86 + 0.28 * grain
    for c in range(3):
        out[c] = (material[M_FIRST + c] * (1 - second) + material[M_SECOND + c] * second) * bright
    out[3] = material[M_NIR] * bright * (1 - 0.3 * second)
