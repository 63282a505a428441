"""People cut out of frames, and how much such a crop is worth."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.geometry import area, clip, intersection

FULL_HEIGHT_PX = 160.0  # a person so tall is as good as any taller one
EDGE_PX = 2.0  # a box this near the border of the frame is taken as cut off
MAX_COVERED = 0.35  # of a person's box behind others' boxes; more, and it is no evidence of that person

NETWORK_SIZE = (128, 64)
"""Height, width in pixels at which sharpness is judged: about what embedders look at."""

_NOISE = 16.0  # grey levels squared: what a sensor adds to a flat picture
_MOST_UINT16 = 16  # side of a block whose sum fits
_HALF = 0.05  # edge energy over contrast of a crop that is neither sharp nor blurred


def cut(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The pixels of one box (4,), clipped to the picture; a copy of at least 1 x 1 px."""
    return _inside(image, box).copy()


def views(
    size: tuple[int, int], boxes: NDArray[np.float32], hidden: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How well each of a frame's boxes shows its person, (N,) in [0, 1]; sharpness aside, so never below `quality`.

    The product of height, share not covered by others' boxes that reach further down (they stand in front), and
    a half for every border of the frame that cuts the person off.

    Args:
        size: Width, height of the frame.
        boxes: All people of the frame, (N, 4) xyxy.
        hidden: What `covered` says of them, (N,).
    """
    seen = clip(boxes, size)
    tall = np.minimum(1.0, (seen[:, 3] - seen[:, 1]) / FULL_HEIGHT_PX)
    edges = (seen[:, :2] <= EDGE_PX).sum(1) + (seen[:, 2:] >= np.array(size, np.float32) - EDGE_PX).sum(1)
    shown: NDArray[np.float32] = (tall * (1.0 - hidden) * 0.5**edges).astype(np.float32)
    return shown


def covered(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each of a frame's boxes that others cover, (N,) in [0, 1]: those that reach further down are in front.

    Args:
        boxes: All people of the frame, (N, 4) xyxy.

    >>> covered(np.float32([[0, 0, 10, 20], [4, 10, 14, 30]])).round(3).tolist()
    [0.30000001192092896, 0.0]
    """
    if len(boxes) < 2:
        return np.zeros(len(boxes), np.float32)
    is_in_front = boxes[None, :, 3] > boxes[:, None, 3]
    behind = (intersection(boxes, boxes) * is_in_front).sum(1)
    share: NDArray[np.float32] = np.minimum(1.0, behind / np.maximum(area(boxes), 1.0))
    return share


def quality(image: NDArray[np.uint8], box: NDArray[np.float32], shown: float) -> float:
    """How well the person in one of a frame's boxes can be recognised, in [0, 1]: their view and sharpness.

    Args:
        image: The frame, (H, W, 3).
        box: The person's, (4,) xyxy.
        shown: What `views` says of it.
    """
    return float(shown * sharpness(_inside(image, box)) ** 0.5)


def sharpness(image: NDArray[np.uint8]) -> float:
    """Sharpness in [0, 1), the same for a photo and for a far smaller crop of it.

    Variance of the Laplacian over variance of the green channel (nearly brightness), after large pictures were
    brought down to about `NETWORK_SIZE` by averaging: blur that the network never sees does not count, nor does
    dim light.
    In focus: above 0.7. From 80 px on, a Gaussian of 1 % of the height leaves about 0.2 to 0.7, one of 4 %
    less than 0.1; smaller crops have fewer pixels to lose and need more.

    Args:
        image: (h, w, 3) uint8; a picture of less than 3 px either way has none.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000 (the variance of
    the Laplacian); the two normalisations are ours.
    """
    grey = _brought_down(image[..., 1])
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    edges = float(laplacian.var() / (grey.var() + _NOISE))
    return edges / (edges + _HALF)


def _inside(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    left, top, right, bottom = box.tolist()
    x0, y0 = int(min(max(left, 0), width - 1)), int(min(max(top, 0), height - 1))
    x1 = min(max(math.ceil(right), x0 + 1), width)
    y1 = min(max(math.ceil(bottom), y0 + 1), height)
    return image[y0:y1, x0:x1]


def _brought_down(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Averages over whole blocks, so that at most about `NETWORK_SIZE` is left."""
    height, width = grey.shape
    block = max(1, round(min(height / NETWORK_SIZE[0], width / NETWORK_SIZE[1])))
    if block == 1:
        return grey.astype(np.float32)
    whole = grey[: height // block * block, : width // block * block]
    sums = np.uint16 if block <= _MOST_UINT16 else np.uint32
    rows = sum((whole[i::block] for i in range(1, block)), whole[::block].astype(sums))
    total = sum((rows[:, i::block] for i in range(1, block)), rows[:, ::block])
    return total.astype(np.float32) / np.float32(block**2)
