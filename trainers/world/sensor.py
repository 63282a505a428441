"""A camera's sensor: exposure, white balance, lens blur, noise, tone curve, compression."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from trainers.world.compiled import F32, U8, compiled, inlined

MIDDLE = np.array([0.3, 0.6, 0.1], np.float32)  # luminance of linear rgb
RAW = 100  # JPEG quality that means: not compressed


@dataclass(frozen=True, slots=True)
class Style:
    """How a sensor makes pictures of light.

    Attributes:
        exposure: Level that the median of the empty view is brought to.
        most_gain: Where automatic exposure stops.
        white: Gains of r, g, b.
        blur_px: Lens blur at 640 pixels of width.
        shot, read: Noise at unit gain.
        gamma: Of the tone curve.
        jpeg: Quality of the camera's own compression, 100 = none.
        saturation: 1 = as it is.
        vignette: Darkening at the side of the picture.
        infrared: One channel of near infrared, lit from beside the lens.
    """

    exposure: float
    most_gain: float = 4.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur_px: float = 0.7
    shot: float = 0.0005
    read: float = 0.00001
    gamma: float = 1 / 2.2
    jpeg: int = 70
    saturation: float = 1.0
    vignette: float = 0.25
    infrared: bool = False


STYLES: dict[str, Style] = {
    "hall": Style(0.42, 6, (1.04, 1.0, 0.94), 0.55, 0.0004, 0.00001, 1 / 2.2, 82, 1.0, 0.22),
    "street": Style(0.20, 4, (0.96, 1.0, 1.06), 0.75, 0.0006, 0.00002, 1 / 2.05, 62, 1.12, 0.30),
    "night": Style(0.075, 30, (1.0, 1.0, 1.0), 0.85, 0.0006, 0.000004, 1 / 2.3, 58, 0.75, 0.35),
    "infrared": Style(
        0.26, 30, (1.0, 1.0, 1.0), 0.8, 0.0003, 0.000002, 1 / 1.8, 66, 0.0, 0.4, infrared=True
    ),
    "garage": Style(0.22, 12, (0.94, 1.05, 0.96), 0.8, 0.0006, 0.00001, 1 / 2.15, 60, 0.85, 0.4),
    "park": Style(0.24, 4, (1.02, 1.0, 1.0), 0.65, 0.0005, 0.00001, 1 / 2.25, 74, 1.05, 0.28),
}  # fmt: skip


def jittered(style: Style, rng: np.random.Generator, amount: float = 1.0) -> Style:
    """The same model of camera on another wall: exposure, white balance and saturation differ a little."""
    return replace(
        style,
        exposure=style.exposure * float(np.exp(rng.normal(0, 0.16 * amount))),
        white=_cast(style.white, rng, 0.05 * amount),
        saturation=style.saturation * float(np.exp(rng.normal(0, 0.10 * amount))),
    )


def random_style(rng: np.random.Generator) -> Style:
    """Any sensor: colour cast, gamma, noise and blur drawn wide."""
    return Style(
        exposure=float(rng.uniform(0.12, 0.42)),
        most_gain=float(rng.uniform(4, 14)),
        white=_cast((1.0, 1.0, 1.0), rng, 0.12),
        blur_px=float(rng.uniform(0.4, 1.2)),
        shot=float(rng.uniform(0.0002, 0.0012)),
        read=float(10 ** rng.uniform(-5.5, -4.3)),
        gamma=float(1 / rng.uniform(1.9, 2.5)),
        jpeg=int(rng.integers(45, 90)),
        saturation=float(rng.uniform(0.45, 1.25)),
        vignette=float(rng.uniform(0.1, 0.45)),
    )


def _cast(
    white: tuple[float, float, float], rng: np.random.Generator, spread: float
) -> tuple[float, float, float]:
    r, g, b = (float(gain) for gain in white * np.exp(rng.normal(0, spread, 3)))
    return r, g, b


class Sensor:
    """Develops linear pictures of one camera into 8 bits.

    Args:
        style: What kind of sensor it is.
        empty: (H, W, 4) linear light of the empty view; sets the exposure, once.
    """

    _noise = np.random.default_rng(3).standard_normal((509, 509)).astype(np.float32)

    def __init__(self, style: Style, empty: F32) -> None:
        high, wide = empty.shape[:2]
        level = empty[..., 3] if style.infrared else empty[..., :3] @ MIDDLE
        gain = float(np.clip(style.exposure / max(float(np.median(level)), 1e-6), 0.05, style.most_gain))
        y, x = np.mgrid[0:high, 0:wide] + 0.5
        out = ((x - wide / 2) ** 2 + (y - high / 2) ** 2) / (wide / 2) ** 2
        falls = 1 - style.vignette * out / (1 + 0.3 * out)
        self.style = style
        self._gain = (gain * falls[..., None] * np.array([*style.white, 1.0])).astype(np.float32)
        self._shot = np.float32(math.sqrt(style.shot * gain))
        self._read = np.float32(math.sqrt(style.read) * gain)
        self._blur_px = style.blur_px * math.sqrt(wide / 640)
        light = (np.arange(4097) / 2048.0) ** 2
        shoulder = light * (1 + light * 0.12) / (1 + light * 0.55)
        self._tone = np.clip(shoulder**style.gamma * 255, 0, 255).astype(np.uint8)

    def develop(self, light: F32, corner: tuple[int, int], rng: np.random.Generator) -> U8:
        """BGR of linear light (h, w, 4) whose top left lies at pixel `corner` (x, y) of the view."""
        high, wide = light.shape[:2]
        gain = self._gain[corner[1] : corner[1] + high, corner[0] : corner[0] + wide]
        out = np.empty((high, wide, 3), np.uint8)
        dy, dx = (int(n) for n in rng.integers(0, 509, 2))
        if self.style.infrared:
            blurred = self._blurred(np.ascontiguousarray(light[..., 3]))
            _develop_infrared(blurred, gain, self._noise, (dy, dx), self._shot, self._read, self._tone, out)
        else:
            saturation = np.float32(self.style.saturation)
            _develop_colour(
                self._blurred(light),
                gain,
                self._noise,
                (dy, dx),
                self._shot,
                self._read,
                self._tone,
                saturation,
                out,
            )
        if self.style.jpeg < RAW:
            packed = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, self.style.jpeg])[1]
            out = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return out

    def _blurred(self, light: F32) -> F32:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), self._blur_px), np.float32)


@inlined
def _recorded(value: np.float32, noise: np.float32, shot: np.float32, read: np.float32, tone: U8) -> int:
    value = max(value, np.float32(0))
    value += noise * (shot * math.sqrt(value) + read)
    return int(tone[min(int(math.sqrt(max(value, np.float32(0))) * np.float32(2048)), 4096)])


@compiled
def _develop_colour(
    light: F32, gain: F32, noise: F32, shift: tuple[int, int], shot: np.float32, read: np.float32, tone: U8,
    saturation: np.float32, out: U8,
) -> None:  # fmt: skip
    n = noise.shape[0]
    for y in range(out.shape[0]):
        r0, r1, r2 = (y + shift[0]) % n, (y + shift[0] + 37) % n, (y + shift[0] + 74) % n
        c0, c1, c2 = shift[1] % n, (shift[1] + 91) % n, (shift[1] + 182) % n
        for x in range(out.shape[1]):
            r = light[y, x, 0] * gain[y, x, 0]
            g = light[y, x, 1] * gain[y, x, 1]
            b = light[y, x, 2] * gain[y, x, 2]
            grey = np.float32(0.3) * r + np.float32(0.6) * g + np.float32(0.1) * b
            out[y, x, 2] = _recorded(grey + (r - grey) * saturation, noise[r0, c0], shot, read, tone)
            out[y, x, 1] = _recorded(grey + (g - grey) * saturation, noise[r1, c1], shot, read, tone)
            out[y, x, 0] = _recorded(grey + (b - grey) * saturation, noise[r2, c2], shot, read, tone)
            c0 = c0 + 1 if c0 + 1 < n else 0  # a remainder for each would cost more than all else here
            c1 = c1 + 1 if c1 + 1 < n else 0
            c2 = c2 + 1 if c2 + 1 < n else 0


@compiled
def _develop_infrared(
    light: F32, gain: F32, noise: F32, shift: tuple[int, int], shot: np.float32, read: np.float32, tone: U8,
    out: U8,
) -> None:  # fmt: skip
    n = noise.shape[0]
    for y in range(out.shape[0]):
        row, column = (y + shift[0]) % n, shift[1] % n
        for x in range(out.shape[1]):
            out[y, x, :] = _recorded(light[y, x] * gain[y, x, 3], noise[row, column], shot, read, tone)
            column = column + 1 if column + 1 < n else 0
