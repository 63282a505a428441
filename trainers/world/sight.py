"""What a picture shows of somebody: which parts, how large, turned how far, in which colours."""

import colorsys
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trainers.world.compiled import I32, I64, U8, compiled
from trainers.world.doll import PARTS
from trainers.world.wardrobe import Colour

FRONTAL_DEG = 70.0  # a face or a chest can be seen within this of facing the camera
SMALLEST_SHARE = 0.03  # of the body's pixels, below which a part is not described
DARK, HARDLY_LIT = 45, 28  # of 255: below, a colour is only dark; below, nothing can be told
SATURATED, PALE = 0.33, 0.15  # a paint that has a hue, and a colour whose hue cannot be seen
HUED = 0.22  # saturation from which a picture's colour has a hue
GREYISH = 0.30  # saturation up to which a picture's grey is taken for a cast
SAME_HUE_DEG = 30.0
BLENDS_IN, UNLIKE = 14.0, 24.0  # distances of two colours that cannot be told apart, and of two that can
DARKER = 0.5  # of a paint's brightness, below which it looks like another colour
LIGHTER = 45.0  # above its brightness, from which it looks like another colour

Tint = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture shows of somebody.

    Attributes:
        parts: Share of the visible pixels by name of part.
        height_px: Of the visible body, without what is held above it.
        off_front_deg: 0 = faces the camera, 180 = seen from behind.
        colours: Colours can be told: false in near infrared.
        visibility: Visible share of the body.
        fullness: Pixels of the body, without what is carried, by its height squared; None where it is not whole.
        tints: Mean r, g, b of each part in the picture, 0 to 255, and of the background around; a part that is not
            there is as it was painted.
    """

    parts: Mapping[str, float]
    height_px: float
    off_front_deg: float
    colours: bool = True
    visibility: float = 1.0
    fullness: float | None = None
    tints: Mapping[str, Tint] = field(default_factory=dict)

    @property
    def from_front(self) -> bool:
        """Face and chest are turned to the camera."""
        return self.off_front_deg <= FRONTAL_DEG

    def shows(self, part: str, least: float = SMALLEST_SHARE) -> bool:
        """Whether enough of a part is seen, lit, and unlike what is around the person."""
        if (
            self.parts.get(part, 0.0) * self.visibility < least
            or max(self.tints.get(part, (255,))) < HARDLY_LIT
        ):
            return False
        return self.stands_out(part, "background", BLENDS_IN)

    def hides_in_the_dark(self, part: str) -> bool:
        """Whether a part is there, and so dark that it is only dark."""
        return self.parts.get(part, 0.0) >= SMALLEST_SHARE and max(self.tints.get(part, (255,))) < HARDLY_LIT

    def stands_out(self, part: str, other: str, least: float = UNLIKE) -> bool:
        """Whether two parts differ in the picture; in near infrared the three channels are one."""
        if part not in self.tints or other not in self.tints:
            return True
        return math.dist(self.tints[part], self.tints[other]) >= least * (1 if self.colours else math.sqrt(3))

    def colour(self, part: str, name: str, paint: Colour) -> str:
        """What the colour of a part can be called: its name, "dark", or nothing where the picture shows another."""
        if not self.colours:
            return ""
        seen = self.tints.get(part)
        if seen is None:
            return name
        if max(seen) < DARK:
            return "dark"
        return name if _alike(paint, seen) else ""


EVERYTHING = Sight(dict.fromkeys(PARTS[1:], 1.0), 1000, 0)


def _alike(paint: Colour, seen: Tint) -> bool:
    """Whether somebody who sees a colour would call it by the name of a paint."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(channel / 255 for channel in paint))
    seen_hue, seen_saturation, _ = colorsys.rgb_to_hsv(*(channel / 255 for channel in seen))
    apart = abs((hue - seen_hue + 0.5) % 1 - 0.5) * 360
    if not DARKER * max(paint) <= max(seen) <= max(paint) + LIGHTER:
        return False
    if saturation >= SATURATED:
        return seen_saturation >= HUED and apart <= SAME_HUE_DEG
    if saturation >= PALE:
        return seen_saturation < PALE or apart <= SAME_HUE_DEG
    return seen_saturation < GREYISH


def tints_of(image: U8, ids: I32, labels: U8, index: int) -> dict[str, Tint]:
    """Mean r, g, b of each part of one person in a BGR picture (H, W, 3), and of all that is nobody.

    Away from the part's edge, where the lens mixes it with what is beside it, if there is such a pixel.

    Args:
        image: As the sensor made it.
        ids: (H, W) index + 1 of whose pixel it is.
        labels: (H, W) numbers of `doll.PARTS`.
        index: Whose.
    """
    sums = _sums(image, ids, labels, index + 1, len(PARTS))
    return {
        name: _mean(sums[1, part] if sums[1, part, 3] else sums[0, part])
        for part, name in enumerate(PARTS)
        if sums[0, part, 3]
    }


def _mean(sums: I64) -> Tint:
    r, g, b, count = sums.tolist()
    return r / count, g / count, b / count


@compiled
def _sums(image: U8, ids: I32, labels: U8, own: int, parts: int) -> I64:
    """Sums of r, g, b and counts (2, parts, 4): of all pixels that are theirs or nobody's, and of those off an edge."""
    high, wide = ids.shape
    sums = np.zeros((2, parts, 4), np.int64)
    for y in range(high):
        for x in range(wide):
            if ids[y, x] != own and ids[y, x] != 0:
                continue
            part = labels[y, x] if ids[y, x] == own else 0
            inner = 0 < y < high - 1 and 0 < x < wide - 1
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if inner:
                    v, u = y + dy, x + dx
                    inner = part == (labels[v, u] if ids[v, u] == own else 0)
            for kind in range(2 if inner else 1):
                for channel in range(3):
                    sums[kind, part, channel] += image[y, x, 2 - channel]
                sums[kind, part, 3] += 1
    return sums


def off_front(heading: float, x: float, y: float, eye_x: float, eye_y: float) -> float:
    """Degrees between where somebody at (x, y) faces and where the camera is."""
    to_eye = math.atan2(-(eye_x - x), eye_y - y)
    return abs(math.degrees((to_eye - heading + math.pi) % (2 * math.pi) - math.pi))
