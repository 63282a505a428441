"""People cut out of frames, and how much such a crop is worth."""

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.geometry import area, clip, intersection

FULL_HEIGHT_PX = 160.0  # a person so tall is as good as any taller one
EDGE_PX = 2.0  # a box this near the border of the frame is taken as cut off
MAX_COVERED = 0.35  # of a person's box behind others' boxes; more, and it is no evidence of that person

NETWORK_SIZE = (128, 64)
"""Height, width in pixels at which sharpness is judged: about what embedders look at."""

_NOISE = 16.0  # grey levels squared: what a sensor adds to a flat picture
_HALF = 0.05  # edge energy over contrast of a crop that is neither sharp nor blurred


def cut(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The pixels of one box (4,), clipped to the picture; a copy of at least 1 x 1 px."""
    height, width = image.shape[:2]
    x0, y0 = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    x1 = int(np.clip(np.ceil(box[2]), x0 + 1, width))
    y1 = int(np.clip(np.ceil(box[3]), y0 + 1, height))
    return image[y0:y1, x0:x1].copy()


def view(size: tuple[int, int], boxes: NDArray[np.float32], row: int) -> float:
    """How well one of a frame's boxes shows its person, in [0, 1]; sharpness aside, so never below `quality`.

    The product of height, share not covered by others' boxes that reach further down (they stand in front), and
    a half for every border of the frame that cuts the person off.

    Args:
        size: Width, height of the frame.
        boxes: All people of the frame, (N, 4) xyxy.
        row: Which of them.
    """
    box = clip(boxes[row : row + 1], size)[0]
    tall = min(1.0, float(box[3] - box[1]) / FULL_HEIGHT_PX)
    edges = int((box[:2] <= EDGE_PX).sum() + (box[2:] >= np.array(size, np.float32) - EDGE_PX).sum())
    return tall * (1.0 - covered(boxes, row)) * 0.5**edges


def covered(boxes: NDArray[np.float32], row: int) -> float:
    """Share of a box that others cover, in [0, 1]: those that reach further down, they stand in front.

    Args:
        boxes: All people of the frame, (N, 4) xyxy.
        row: Which of them.

    >>> round(covered(np.float32([[0, 0, 10, 20], [4, 10, 14, 30]]), 0), 3)
    0.3
    """
    own, in_front = boxes[row : row + 1], boxes[boxes[:, 3] > boxes[row, 3]]
    return min(1.0, float(intersection(own, in_front).sum()) / max(float(area(own)[0]), 1.0))


def quality(image: NDArray[np.uint8], boxes: NDArray[np.float32], row: int) -> float:
    """How well the person in one of a frame's boxes can be recognised, in [0, 1]: `view` and sharpness.

    Args:
        image: The frame, (H, W, 3).
        boxes: All people of the frame, (N, 4) xyxy.
        row: Which of them.
    """
    shown = view((image.shape[1], image.shape[0]), boxes, row)
    return float(shown * sharpness(cut(image, boxes[row])) ** 0.5)


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
    grey = _brought_down(image[..., 1].astype(np.float32))
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    edges = float(laplacian.var() / (grey.var() + _NOISE))
    return edges / (edges + _HALF)


def _brought_down(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Averages over whole blocks, so that at most about `NETWORK_SIZE` is left."""
    height, width = grey.shape
    block = max(1, round(min(height / NETWORK_SIZE[0], width / NETWORK_SIZE[1])))
    rows, columns = height // block, width // block
    blocks = grey[: rows * block, : columns * block].reshape(rows, block, columns, block)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return mean
