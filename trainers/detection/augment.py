"""Pictures as a detector is to learn from them: pieced together, zoomed, mirrored, recoloured, with rubbish pasted in.

All of it is drawn from the generator that is passed in, so that a batch depends on nothing but its number.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.follow.geometry import area, clip
from pipeline.settings import Settings
from trainers.detection.picture_store import Floats, Picture

PAD = 114
U8 = NDArray[np.uint8]


class Augmentation(Settings):
    """How often, in [0, 1], and how much."""

    mosaic: float = Field(default=0.5, ge=0, le=1, description="Four pictures in one.")
    as_is: float = Field(default=0.3, ge=0, le=1, description="Of the others: at the scale of the stream.")
    zoom: tuple[float, float] = Field(default=(0.6, 1.8), description="Of a picture that fits the input.")
    mirror: float = Field(default=0.5, ge=0, le=1)
    grey: float = Field(default=0.2, ge=0, le=1, description="Without colour.")
    colour: float = Field(default=0.8, ge=0, le=1, description="Other brightness, contrast, gamma, cast.")
    noise: float = Field(default=0.3, ge=0, le=1)
    blur: float = Field(default=0.2, ge=0, le=1)
    rubbish: float = Field(default=0.3, ge=0, le=1, description="Patches of noise, stripes and colours.")


def augmented(
    first: Picture,
    another: Callable[[], Picture],
    size: tuple[int, int],
    settings: Augmentation,
    rng: np.random.Generator,
) -> Picture:
    """One training picture.

    Args:
        first: What it shows.
        another: Draws any other picture.
        size: Height and width of the input.
        settings: How often and how much.
        rng: Of everything.
    """
    if rng.random() < settings.mosaic:
        made = _mosaic([first, another(), another(), another()], size, settings.zoom, rng)
    else:
        as_is = rng.random() < settings.as_is
        made = _cut(first, size, (1.0, 1.0) if as_is else settings.zoom, rng)
    if rng.random() < settings.mirror:
        made.image = np.ascontiguousarray(made.image[:, ::-1])
        made.boxes[:, [0, 2]] = size[1] - made.boxes[:, [2, 0]]
    if rng.random() < settings.rubbish:
        _litter(made, rng)
    _recolour(made, settings, rng)
    return made


def fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture in the top left of the input, as the stream's detector sees it."""
    return _placed(picture, size, _fit(picture, size), (0.0, 0.0))


def _fit(picture: Picture, size: tuple[int, int]) -> tuple[float, float]:
    high, wide = picture.image.shape[:2]
    return (min(size[0] / high, size[1] / wide),) * 2


def _mosaic(
    pictures: Sequence[Picture], size: tuple[int, int], zoom: tuple[float, float], rng: np.random.Generator
) -> Picture:
    """Four pictures around a point.

    Source: Bochkovskiy et al., YOLOv4, 2020, section 3.3.
    """
    y, x = (int(side * rng.uniform(0.3, 0.7)) for side in size)
    windows = ((0, 0, y, x), (0, x, y, size[1]), (y, 0, size[0], x), (y, x, *size))
    image, boxes, visible = np.empty((*size, 3), np.uint8), [], []
    for picture, (top, left, bottom, right) in zip(pictures, windows, strict=True):
        piece = _cut(picture, (bottom - top, right - left), zoom, rng, _fit(picture, size))
        image[top:bottom, left:right] = piece.image
        boxes.append(piece.boxes + np.array([left, top, left, top], np.float32))
        visible.append(piece.visible)
    return Picture(image, np.concatenate(boxes), np.concatenate(visible))


def _cut(
    picture: Picture,
    size: tuple[int, int],
    zoom: tuple[float, float],
    rng: np.random.Generator,
    fit: tuple[float, float] | None = None,
) -> Picture:
    """A window anywhere on the zoomed picture; beside it there is grey."""
    fit = fit or _fit(picture, size)
    by = float(np.exp(rng.uniform(*np.log(zoom))))
    stretch = float(np.exp(rng.normal(0, 0.08))) if zoom[0] < zoom[1] else 1.0
    scale = fit[0] * by * stretch, fit[1] * by / stretch
    room = (size[1] - picture.image.shape[1] * scale[0], size[0] - picture.image.shape[0] * scale[1])
    offset = tuple(float(rng.uniform(min(0.0, left), max(0.0, left))) for left in room)
    if zoom == (1.0, 1.0):
        offset = (0.0, 0.0)
    return _placed(picture, size, scale, (offset[0], offset[1]))


def _placed(
    picture: Picture, size: tuple[int, int], scale: tuple[float, float], offset: tuple[float, float]
) -> Picture:
    """The input is picture * scale + offset, both as (x, y); people are cut at the window, and less visible then."""
    matrix = np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]], np.float64)
    matrix[:, 2] += 0.5 * matrix[[0, 1], [0, 1]] - 0.5  # pixels have their centres at .5
    image = cv2.warpAffine(
        picture.image, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderValue=(PAD, PAD, PAD)
    )
    boxes = picture.boxes * np.array(scale * 2, np.float32) + np.array(offset * 2, np.float32)
    clipped = clip(boxes, (size[1], size[0]))
    left = area(clipped) / np.maximum(area(boxes), np.float32(1e-6))
    visible: Floats = np.multiply(picture.visible, left, dtype=np.float32)
    return Picture(np.asarray(image, np.uint8), clipped[left > 0.02], visible[left > 0.02])


def _litter(made: Picture, rng: np.random.Generator) -> None:
    """Pastes patches; who lies under them is that much less visible."""
    high, wide = made.image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        h, w = int(high * rng.uniform(0.05, 0.5)), int(wide * rng.uniform(0.03, 0.25))
        y, x = int(rng.integers(0, high - h)), int(rng.integers(0, wide - w))
        made.image[y : y + h, x : x + w] = _PATCHES[int(rng.integers(len(_PATCHES)))](h, w, rng)
        patch = np.array([x, y, x + w, y + h], np.float32)
        low = np.maximum(made.boxes[:, :2], patch[:2])
        hidden = area(np.concatenate([low, np.minimum(made.boxes[:, 2:], patch[2:])], axis=1))
        made.visible *= 1 - hidden / np.maximum(area(made.boxes), np.float32(1e-6))


def _colours(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.uniform(0, 255, (count, 3))


def _plain(h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.broadcast_to(_colours(rng, 1)[0], (h, w, 3))


def _stripes(h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.mgrid[0:h, 0:w]
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 24)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)[..., None] > 0
    first, second = _colours(rng, 2)
    return np.asarray(np.where(wave, first, second))


def _clouds(h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    grain = int(rng.integers(2, 12))
    coarse = rng.uniform(0, 255, (h // grain + 2, w // grain + 2, 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR), np.float64)


def _ramp(h: int, w: int, rng: np.random.Generator) -> NDArray[np.float64]:
    first, second = _colours(rng, 2)
    share = np.linspace(0, 1, h)[:, None, None] if rng.random() < 0.5 else np.linspace(0, 1, w)[None, :, None]
    return np.broadcast_to(first + (second - first) * share, (h, w, 3))


_PATCHES = (_plain, _stripes, _clouds, _ramp)


def _recolour(made: Picture, settings: Augmentation, rng: np.random.Generator) -> None:
    if rng.random() < settings.colour:
        made.image = np.asarray(cv2.LUT(made.image, _curves(rng)), np.uint8)
    if rng.random() < settings.grey:
        grey = cv2.cvtColor(made.image, cv2.COLOR_BGR2GRAY)
        made.image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if rng.random() < settings.blur:
        made.image = np.asarray(cv2.GaussianBlur(made.image, (0, 0), rng.uniform(0.5, 1.5)), np.uint8)
    if rng.random() < settings.noise:
        grain = np.empty(made.image.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(grain, (0, 0, 0), (float(rng.uniform(2, 16)),) * 3)
        made.image = np.asarray(cv2.add(made.image, grain, dtype=cv2.CV_8U), np.uint8)


def _curves(rng: np.random.Generator) -> U8:
    """A tone curve for each channel (1, 256, 3): gamma, contrast, brightness, and a cast of colour."""
    level = np.arange(256)[:, None] / 255
    gamma = np.exp(rng.normal(0, 0.3) + rng.normal(0, 0.05, 3))
    contrast, brightness = np.exp(rng.normal(0, 0.25)), rng.normal(0, 0.1)
    cast = np.exp(rng.normal(0, 0.08, 3))
    curve = ((level**gamma - 0.5) * contrast + 0.5 + brightness) * cast
    return np.asarray(np.clip(curve, 0, 1) * 255, np.uint8)[None]
